// What depends on the width of the window, names for what the theme leaves without one, and numbers in one piece.
const WIDE = ".bd-article table, .bd-article pre, .pst-scrollable-table-container, mjx-container, .bd-article dt.sig";

// whatever scrolls sideways can be reached and scrolled by keyboard, whenever it begins to: a narrower window, a font
// or a picture that arrives late, a fold that opens
const reach = () => {
  for (const element of document.querySelectorAll(WIDE))
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth) element.tabIndex = 0;
};
const resized = new ResizeObserver(reach);

document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("summary"))
    if (!summary.textContent.trim()) {
      const page = summary.closest("li")?.querySelector("a")?.textContent.trim() ?? "more";
      summary.setAttribute("aria-label", `pages below ${page}`);
    }
  // a button that shows its name needs no other
  for (const button of document.querySelectorAll("button[aria-label]"))
    if (button.textContent.trim()) button.removeAttribute("aria-label");
  // a number such as 1e-16 is not broken at its minus sign
  for (const cell of document.querySelectorAll(".bd-article td"))
    if (/\de-\d/.test(cell.textContent) && cell.textContent.length < 25) cell.style.whiteSpace = "nowrap";
  for (const element of document.querySelectorAll(WIDE))
    for (const box of [element, ...element.children]) resized.observe(box);
  reach();
});
window.addEventListener("load", () => window.MathJax?.startup?.promise?.then(reach));
document.fonts.ready.then(reach);
