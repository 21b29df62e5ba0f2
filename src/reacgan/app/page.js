// Run for each part of the page that shows pictures; `element` and `trigger` are gradio's.
const cells = () => [...element.querySelectorAll("button.rg-cell")];

function reach(cell) {
  for (const other of cells()) other.tabIndex = other === cell ? 0 : -1;
  cell.focus();
}

element.addEventListener("click", (event) => {
  const copy = event.target.closest("button.rg-copy");
  if (copy) {
    const box = copy.closest(".rg-command");
    const area = box.querySelector("textarea");
    const said = box.querySelector(".rg-copied");
    area.select();
    const done = navigator.clipboard
      ? navigator.clipboard.writeText(area.value)
      : Promise.resolve(document.execCommand("copy"));
    done.then(() => (said.textContent = "copied"), () => (said.textContent = "press Ctrl+C"));
    return;
  }
  const cell = event.target.closest("button.rg-cell");
  if (!cell) return;
  for (const other of cells()) {
    other.setAttribute("aria-pressed", String(other === cell));
    other.tabIndex = other === cell ? 0 : -1;
  }
  trigger("pick", { index: Number(cell.dataset.index) });
});

element.addEventListener("keydown", (event) => {
  const here = event.target.closest?.("button.rg-cell");
  if (!here) return;
  const all = cells();
  const columns = Number(getComputedStyle(here.parentElement).getPropertyValue("--columns")) || 1;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const index = all.indexOf(here);
  let target;
  if (event.key in steps) target = all[index + steps[event.key]];
  else if (event.key === "Home") target = all[0];
  else if (event.key === "End") target = all[all.length - 1];
  else return;
  event.preventDefault();
  if (target) reach(target);
});
