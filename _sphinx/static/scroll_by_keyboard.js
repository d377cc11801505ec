// A box that scrolls sideways can be reached by keyboard, and only one that does: code and
// formulas that fit take no part in tabbing.
const boxes = document.querySelectorAll("pre, .equation, .table-wrapper");

function update() {
  for (const box of boxes) {
    if (box.scrollWidth > box.clientWidth) {
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", box.matches("pre") ? "Code" : "Formula or table");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
}

addEventListener("resize", update);
document.addEventListener("toggle", update, true);
document.fonts.ready.then(update);
