"""GPT-2: opening a checkpoint of any size, looking at its layers one block at a time, training a small one.

A checkpoint is a folder as published for GPT-2, or as `save` writes it: config.json, safetensors and a tokenizer.
`layers` holds the weights of one block at a time, so that gpt2-xl (6 GB in single precision) needs a few hundred
megabytes besides the activity. Nothing is unpickled. Tokens are integers [n, T]: n contexts of T tokens.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.networks import data, train
from polysemanticity.networks.gpt2_folders import EMBEDDING, HEAD, Checkpoint, check_vocabulary, read, read_rows
from polysemanticity.networks.gpt2_folders import open_checkpoint as open_checkpoint
from polysemanticity.networks.gpt2_folders import tokenizer_of as tokenizer_of

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Layer(NamedTuple):
    """Activity of one depth as float32 on the network's device: 0 is the embedding (no MLP), k the k-th block.

    `residual` is the residual stream after the block (of the last one too it is before the final layer norm), `mlp`
    what the MLP adds to it, `neurons` the MLP's hidden units after their nonlinearity.
    """

    depth: int
    residual: Float[Tensor, "n T width"]
    mlp: Float[Tensor, "n T width"] | None
    neurons: Float[Tensor, "n T hidden"] | None


def train_tokenizer(text: str, vocab_size: int):
    """Return GPT-2's kind of tokenizer, byte-level BPE, learnt from `text`; at most `vocab_size` tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    check(vocab_size >= len(alphabet), "vocab_size", vocab_size, "at least 256, one token for every byte")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def split_text(text: str, shares: Sequence[float], seed: int, section: int = 2000) -> list[str]:
    """Return one text for each share: sections of at least `section` characters, drawn by `seed`, no paragraph twice.

    Manuals repeat themselves: a paragraph counts where it stands first, so that no part holds a copy of another's.
    Paragraphs are those of `data.paragraphs`: a text of lines is divided too.
    Raises ValueError for a text with fewer sections than shares, or with no paragraphs.
    """
    check(all(share > 0 for share in shares), "shares", shares, "numbers above 0")
    sections = [""]
    found, joint = data.paragraphs(text, section)
    for paragraph in dict.fromkeys(found):
        if len(sections[-1]) >= section:
            sections.append("")
        sections[-1] += paragraph + joint
    allowed = f"at least {len(shares)} sections of {section} characters in different paragraphs, one for each part"
    check(len(sections) >= len(shares), "sections of text", len(sections), allowed)
    order = streams.rng(seed, "sections").permutation(len(sections))
    ends = [round(len(sections) * sum(shares[: k + 1]) / sum(shares)) for k in range(len(shares))]
    return ["".join(sections[i] for i in sorted(order[a:b])) for a, b in zip([0, *ends], ends, strict=False)]


def contexts(text: str, tokenizer, length: int, most: int | None = None) -> Int[Tensor, "n T"]:
    """Return the tokens of `text` cut into contexts of `length`, in order, at most `most`; a shorter rest is left out.

    Raises ValueError for a text shorter than one context.
    """
    check(length >= 2, "length of a context", length, "at least 2 tokens")
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    allowed = f"at least {length}, one context: give a longer text, or a shorter context"
    check(len(ids) >= length, "number of tokens in the text", len(ids), allowed)
    return torch.tensor(ids[: len(ids) // length * length]).view(-1, length)[:most]


def words(tokenizer, tokens: Sequence[int]) -> list[str]:
    """Return each token as text."""
    return [tokenizer.decode([int(token)], skip_special_tokens=False) for token in tokens]


@torch.no_grad()
def layers(
    checkpoint: Checkpoint,
    tokens: Int[Tensor, "n T"],
    *,
    device: str | torch.device = "cpu",
    precision: str = "float32",
    batch_size: int = 32,
) -> Iterator[Layer]:
    """Yield the activity of every depth, the embedding first, in memory of one block, the activity and a batch.

    Blocks are transformers' own, made without memory and filled from the file one after the other. `precision` is that
    of the computation; what is stored in half precision is converted block by block. One depth's activity takes
    n T (2 width + hidden) float32 and replaces the one before it, unless the caller keeps it.
    Raises ValueError for tokens or contexts that the network has no embedding for, and for a block that is incomplete.
    """
    check(precision in PRECISIONS, "precision", precision, "one of " + ", ".join(PRECISIONS))
    config, dtype = checkpoint.config, PRECISIONS[precision]
    allowed = f"contexts [n, T] of at most {config.n_positions} tokens"
    shape_fits = tokens.ndim == 2 and len(tokens) > 0 and tokens.shape[1] <= config.n_positions
    check(shape_fits, "shape of tokens", tuple(tokens.shape), allowed)
    low, high = int(tokens.min()), int(tokens.max())
    allowed = f"tokens from 0 to {config.vocab_size - 1}: was another tokenizer used?"
    check(low >= 0 and high < config.vocab_size, "tokens", (low, high), allowed)
    hidden = embed(checkpoint, tokens, dtype, device)
    yield Layer(0, hidden.float(), None, None)
    for k in range(config.n_layer):
        hidden, mlp, neurons = _apply(_block(checkpoint, k, dtype, device), hidden, batch_size)
        yield Layer(k + 1, hidden.float(), mlp, neurons)


def embed(checkpoint: Checkpoint, tokens: Tensor, dtype: torch.dtype, device) -> Tensor:
    """Return the sum of token and position embeddings; only the rows that occur are read from the file."""
    kinds, place = tokens.unique(return_inverse=True)
    words = read_rows(checkpoint, EMBEDDING, kinds.tolist()).to(device, dtype)
    return words[place.to(device)] + read_rows(checkpoint, "wpe.weight", range(tokens.shape[1])).to(device, dtype)


def _block(checkpoint: Checkpoint, index: int, dtype: torch.dtype, device) -> nn.Module:
    from transformers.models.gpt2.modeling_gpt2 import GPT2Block

    with torch.device("meta"):
        block = GPT2Block(checkpoint.config, layer_idx=index)
    try:
        block.load_state_dict(read(checkpoint, f"h.{index}.", dtype, device), assign=True)
    except RuntimeError as error:
        allowed = f"weights of block {index} that fit config.json ({' '.join(str(error).split())})"
        raise ValueError(f"checkpoint = {str(checkpoint.folder)!r}: allowed is {allowed}") from error
    return block.eval()


def _apply(block: nn.Module, hidden: Tensor, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """The residual stream after a block, what its MLP adds, and its neurons, in batches."""
    seen: dict[str, list[Tensor]] = {"mlp": [], "neurons": []}
    for key, module in (("mlp", block.mlp), ("neurons", block.mlp.act)):
        module.register_forward_hook(lambda _, __, output, key=key: seen[key].append(output.float()))
    after = torch.empty_like(hidden)
    for start in range(0, len(hidden), batch_size):
        output = block(hidden[start : start + batch_size])
        after[start : start + batch_size] = output[0] if isinstance(output, tuple) else output
    return after, torch.cat(seen["mlp"]), torch.cat(seen["neurons"])


@torch.no_grad()
def next_token_loss(
    checkpoint: Checkpoint, residual: Float[Tensor, "n T width"], tokens: Int[Tensor, "n T"], batch_size: int = 16
) -> Float[Tensor, "n last"]:
    """Return the cross-entropy in nats of every token but the first, from the last `Layer.residual`, on the CPU."""
    residual, norm = residual.cpu(), read(checkpoint, "ln_f.", torch.float32, "cpu")
    table = read(checkpoint, HEAD if HEAD in checkpoint.weights else EMBEDDING, torch.float32, "cpu")[""]
    losses = []
    for part, ids in zip(residual.split(batch_size), tokens.split(batch_size), strict=True):
        final = F.layer_norm(part, part.shape[-1:], norm["weight"], norm["bias"], checkpoint.config.layer_norm_epsilon)
        losses.append(F.cross_entropy((final[:, :-1] @ table.T).transpose(1, 2), ids[:, 1:], reduction="none"))
    return torch.cat(losses)


def build(*, vocab_size: int, n_layer: int, n_embd: int, n_head: int, n_positions: int, dropout: float = 0.0):
    """Return an untrained GPT-2 (`transformers.GPT2LMHeadModel`) with weights from torch's present random state.

    Its activation function is GPT-2's as torch has it in one piece, `gelu_pytorch_tanh`.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    check(n_head >= 1 and n_embd % n_head == 0, "n_embd", n_embd, f"a multiple of n_head = {n_head}")
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    config = GPT2Config(
        vocab_size=vocab_size, n_layer=n_layer, n_embd=n_embd, n_head=n_head, n_positions=n_positions, use_cache=False,
        bos_token_id=None, eos_token_id=None, activation_function="gelu_pytorch_tanh", **rates,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def loss(model: nn.Module, tokens: Int[Tensor, "n T"]) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of the next token in nats."""
    logits = model(tokens).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())


def train_gpt2(
    tokens: Int[Tensor, "n T"], *, vocab_size: int, n_layer: int, n_embd: int, n_head: int, n_steps: int,
    batch_size: int, lr: float, seed: int, device: str = "cpu", dropout: float = 0.0, checkpoint: Path | None = None,
) -> tuple[nn.Module, train.History]:  # fmt: skip
    """Return a GPT-2 trained on the contexts `tokens`, and its history; initialisation and architecture are GPT-2's.

    AdamW with weight decay 0.1 and betas .9, .95, warm-up over a twentieth of the steps, then a cosine, gradients
    clipped at norm 1, bfloat16 products on CUDA: nanoGPT's recipe. Dropout is 0 unless given (GPT-2's own is 0.1).
    `checkpoint` is `networks.train.fit`'s: a training that was killed goes on from there.
    """
    model = train.build(
        build, seed=seed, device=device, vocab_size=vocab_size, n_layer=n_layer, n_embd=n_embd, n_head=n_head,
        n_positions=tokens.shape[1], dropout=dropout,
    )  # fmt: skip
    if torch.device(device).type == "cpu":  # where the gradient of fused attention takes twice the time of all the rest
        model.set_attn_implementation("eager")
    history = train.fit(
        model, loss, tokens, n_steps=n_steps, batch_size=batch_size, lr=lr, seed=seed, optimizer="adamw",
        optimizer_options={"weight_decay": 0.1, "betas": (0.9, 0.95)}, schedule="cosine", warmup=n_steps // 20,
        clip_norm=1.0, autocast=train.fast_autocast(device), log_every=max(n_steps // 50, 1), checkpoint=checkpoint,
    )  # fmt: skip
    return model, history


def save(model: nn.Module, tokenizer, folder: str | Path) -> Path:
    """Write a GPT-2 and its tokenizer as a folder that `open_checkpoint` and transformers read; return the folder."""
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    check_vocabulary(tokenizer, model.config)
    model.config.save_pretrained(folder)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.transformer.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
