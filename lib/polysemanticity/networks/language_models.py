"""GPT-2: opening a checkpoint of any size, looking at its layers one block at a time, training a small one.

A checkpoint is a folder as published for GPT-2, or as `save` writes it: config.json, safetensors and a tokenizer.
`layers` holds the weights of one block at a time, so that gpt2-xl (6 GB in single precision) needs a few hundred
megabytes besides the activity. Nothing is unpickled. Tokens are integers [n, T]: n contexts of T tokens.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from polysemanticity.base import streams
from polysemanticity.base.checks import check
from polysemanticity.networks import train

FILES = ("config.json", "tokenizer.json", "vocab.json", "merges.txt", "*.safetensors", "*.safetensors.index.json")
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
MASKS = (".attn.bias", ".attn.masked_bias")  # stored in old checkpoints, no weights
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Checkpoint(NamedTuple):
    """A GPT-2 on disk: its settings (a `transformers.GPT2Config`) and the file and stored name of every weight."""

    folder: Path
    config: object
    weights: Mapping[str, tuple[Path, str]]


class Layer(NamedTuple):
    """Activity of one depth as float32 on the network's device: 0 is the embedding (no MLP), k the k-th block.

    `residual` is the residual stream after the block (of the last one too it is before the final layer norm), `mlp`
    what the MLP adds to it, `neurons` the MLP's hidden units after their nonlinearity.
    """

    depth: int
    residual: Float[Tensor, "n T width"]
    mlp: Float[Tensor, "n T width"] | None
    neurons: Float[Tensor, "n T hidden"] | None


def open_checkpoint(source: str | Path) -> Checkpoint:
    """Return the GPT-2 in a local folder, or of a hub name such as `gpt2-xl`, fetched once where there is a network.

    Only headers are read. Raises ValueError saying what to do: a folder that is missing or holds another model, weights
    that are missing, damaged or pickled, a hub name that cannot be fetched.
    """
    folder = _folder(source)
    config = _config(folder)
    weights = _weights(folder)
    needed = ["wte.weight", "wpe.weight", "ln_f.weight"] + [f"h.{k}.ln_1.weight" for k in range(config.n_layer)]
    missing = [name for name in needed if name not in weights]
    allowed = (
        f"a folder with all weights of its config.json ({len(missing)} are missing, e.g. {', '.join(missing[:2])})"
    )
    check(not missing, "checkpoint", str(folder), allowed)
    return Checkpoint(folder, config, weights)


def _folder(source: str | Path) -> Path:
    text, path = str(source), Path(source).expanduser()
    if text and path.is_dir():
        return path
    allowed = "a folder that exists, or a name on the hub such as gpt2-xl"
    check(bool(HUB_NAME.fullmatch(text)), "checkpoint", text, allowed)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(text, allow_patterns=list(FILES)))
    except Exception as error:  # the hub's client raises many kinds
        raise ValueError(
            f"checkpoint = {text!r}: allowed is a folder that exists, or a hub name where there is a network "
            f"({type(error).__name__}: {str(error).splitlines()[0]}); to work without one, run `hf download {text}` "
            "on a machine that has one, copy the folder here and give its path"
        ) from error


def _config(folder: Path):
    from transformers import GPT2Config

    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        allowed = f"a checkpoint's folder with a readable config.json ({error})"
        raise ValueError(f"checkpoint = {str(folder)!r}: allowed is {allowed}") from error
    kind = found.get("model_type") if isinstance(found, dict) else None
    check(kind == "gpt2", "checkpoint", str(folder), f"a GPT-2; this config.json says model_type {kind!r}")
    sizes = {name: found.get(name, 1) for name in ("n_layer", "n_embd", "n_head", "vocab_size", "n_positions")}
    whole = all(type(value) is int and 1 <= value <= 10**6 for value in sizes.values())
    check(whole, "checkpoint", str(folder), f"a GPT-2 with sizes from 1 to a million; config.json says {sizes}")
    try:
        config = GPT2Config.from_dict(found)
    except Exception as error:  # transformers checks the other fields
        allowed = f"a GPT-2 as published; config.json: {' '.join(str(error).split())[:300]}"
        raise ValueError(f"checkpoint = {str(folder)!r}: allowed is {allowed}") from error
    config._attn_implementation = "sdpa"
    return config


def _weights(folder: Path) -> dict[str, tuple[Path, str]]:
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    allowed = "a folder with safetensors weights, model.safetensors or model-00001-of-….safetensors"
    if pickled:
        allowed += (
            f"; {', '.join(pickled)} is pickled and not opened: write it anew with "
            "transformers.GPT2LMHeadModel.from_pretrained(folder).save_pretrained(new_folder), where you trust it"
        )
    check(bool(files), "checkpoint", str(folder), allowed)
    found = {}
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                names = list(opened.keys())
        except (SafetensorError, OSError) as error:
            allowed = f"a complete safetensors file; fetch or copy it again ({error})"
            raise ValueError(f"weights = {str(file)!r}: allowed is {allowed}") from error
        found |= {name.removeprefix("transformer."): (file, name) for name in names}
    return found


def read(checkpoint: Checkpoint, prefix: str, dtype: torch.dtype, device) -> dict[str, Tensor]:
    """Return the weights whose names start with `prefix`, without it, converted one by one to `dtype` on the device."""
    from safetensors import safe_open

    chosen: dict[Path, list[str]] = {}
    for name, (file, _) in checkpoint.weights.items():
        if name.startswith(prefix) and not name.endswith(MASKS):
            chosen.setdefault(file, []).append(name)
    weights = {}
    for file, names in chosen.items():
        with safe_open(file, "pt") as opened:  # closed after every block: pages of the file do not pile up
            for name in names:
                stored = opened.get_tensor(checkpoint.weights[name][1])
                weights[name.removeprefix(prefix)] = stored.to(device, dtype, copy=True)
    return weights


def tokenizer_of(checkpoint: Checkpoint):
    """Return the checkpoint's own tokenizer (a `tokenizers.Tokenizer`).

    Raises ValueError for a folder without one and for one with more tokens than the network has embeddings.
    """
    from tokenizers import ByteLevelBPETokenizer, Tokenizer

    whole, vocabulary, merges = (checkpoint.folder / name for name in ("tokenizer.json", "vocab.json", "merges.txt"))
    allowed = "a folder with a tokenizer: tokenizer.json, or vocab.json and merges.txt, from where the weights are from"
    there = whole.is_file() or (vocabulary.is_file() and merges.is_file())
    check(there, "checkpoint", str(checkpoint.folder), allowed)
    try:
        if whole.is_file():
            tokenizer = Tokenizer.from_file(str(whole))
        else:
            tokenizer = ByteLevelBPETokenizer(str(vocabulary), str(merges))._tokenizer
    except Exception as error:  # the tokenizers library raises plain Exception
        raise ValueError(f"checkpoint = {str(checkpoint.folder)!r}: allowed is {allowed} ({error})") from error
    check_vocabulary(tokenizer, checkpoint.config)
    return tokenizer


def check_vocabulary(tokenizer, config) -> None:
    """Raise ValueError if the tokenizer can produce tokens that the network has no embedding for."""
    size = max(tokenizer.get_vocab().values()) + 1
    allowed = f"at most the network's vocab_size {config.vocab_size}: take the tokenizer that it was trained with"
    check(size <= config.vocab_size, "number of the tokenizer's tokens", size, allowed)


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
    Raises ValueError for a text with fewer sections than shares.
    """
    check(all(share > 0 for share in shares), "shares", shares, "numbers above 0")
    sections = [""]
    for paragraph in dict.fromkeys(part for part in text.split("\n\n") if part.strip()):
        if len(sections[-1]) >= section:
            sections.append("")
        sections[-1] += paragraph + "\n\n"
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
    from safetensors import safe_open

    kinds, place = tokens.unique(return_inverse=True)
    rows = {}
    for name, wanted in (("wte.weight", kinds.tolist()), ("wpe.weight", range(tokens.shape[1]))):
        file, stored = checkpoint.weights[name]
        with safe_open(file, "pt") as opened:
            table = opened.get_slice(stored)
            rows[name] = torch.cat([table[row : row + 1] for row in wanted]).to(device, dtype)
    return rows["wte.weight"][place.to(device)] + rows["wpe.weight"]


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
    table = read(checkpoint, "wte.", torch.float32, "cpu")["weight"]
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
