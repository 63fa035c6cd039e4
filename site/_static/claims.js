// Filters over the table of claims: a menu for each of its columns of few values, and a word to look for.
// What is chosen stands in the address, so that a choice can be sent: claims.html?verdict=fails
document.addEventListener("DOMContentLoaded", () => {
  const table = document.querySelector(".claims table");
  if (!table) return;
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
  rows.forEach((row) => [...row.cells].forEach((cell, i) => (cell.dataset.label = heads[i])));

  // a verdict without its mark
  const valueOf = (row, column) => row.cells[column].textContent.replace(/^[^\p{L}]+/u, "").trim();
  const form = document.createElement("form");
  form.className = "claims-filter";
  const menus = ["paper", "verdict"].map((name) => {
    const column = heads.indexOf(name);
    const menu = document.createElement("select");
    menu.name = name;
    menu.setAttribute("aria-label", name);
    menu.add(new Option(`every ${name}`, ""));
    const values = rows.map((row) => valueOf(row, column));
    new Set(values).forEach((value) => menu.add(new Option(`${value} (${values.filter((v) => v === value).length})`, value)));
    form.append(menu);
    return { menu, column };
  });
  const word = Object.assign(document.createElement("input"), { type: "search", name: "word", placeholder: "a word" });
  word.setAttribute("aria-label", "a word");
  const count = document.createElement("output");
  form.append(word, count);

  const asked = new URLSearchParams(location.search);
  menus.forEach(({ menu }) => (menu.value = [...menu.options].find((o) => o.value === (asked.get(menu.name) ?? ""))?.value ?? ""));
  word.value = asked.get("word") ?? "";

  const show = () => {
    let shown = 0;
    rows.forEach((row) => {
      const fits = menus.every(({ menu, column }) => !menu.value || valueOf(row, column) === menu.value);
      row.hidden = !fits || !row.textContent.toLowerCase().includes(word.value.trim().toLowerCase());
      shown += !row.hidden;
    });
    count.textContent = `${shown} of ${rows.length}`;
    const chosen = [...form.elements].filter((field) => field.name && field.value).map((field) => [field.name, field.value]);
    const query = chosen.length ? `?${new URLSearchParams(chosen)}` : "";
    history.replaceState(null, "", location.pathname + query + location.hash);
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".claims").prepend(form);
  show();
});
