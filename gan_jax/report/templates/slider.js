"use strict";
// Without this script the last sheet is shown.
for (const slides of document.querySelectorAll(".slides")) {
  const input = slides.querySelector("input");
  const output = slides.querySelector("output");
  const sheets = slides.querySelectorAll("img");
  const show = () => {
    sheets.forEach((sheet, i) => { sheet.hidden = i !== input.valueAsNumber; });
    const iteration = sheets[input.valueAsNumber].dataset.iteration;
    output.textContent = iteration;
    input.setAttribute("aria-valuetext", iteration);
  };
  input.addEventListener("input", show);
  show(); // browsers remember where a slider stood
}
// A link to a run opens it.
const open = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const details = target && target.closest("details");
  if (details) {
    details.open = true;
    target.scrollIntoView();
  }
};
addEventListener("hashchange", open);
open();
