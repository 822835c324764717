/** Runs in the reader's browser: shows the timeline that was chosen. Without it the first one is shown. */
export const SCRIPT = `
const cell = document.getElementById("timeline-cell");
const system = document.getElementById("timeline-system");
const all = [...document.querySelectorAll("[data-timeline]")];
function show() {
  const here = all.filter((one) => one.dataset.cell === cell.value);
  for (const option of system.options)
    option.disabled = !here.some((one) => one.dataset.system === option.value);
  if (system.selectedOptions[0].disabled) system.value = here[0].dataset.system;
  for (const one of all)
    one.hidden = one.dataset.cell !== cell.value || one.dataset.system !== system.value;
}
cell?.addEventListener("change", show);
system?.addEventListener("change", show);
if (cell) show();
`;
