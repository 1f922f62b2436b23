"use strict";

const content = JSON.parse(document.getElementById("data").textContent);
// Charts: a name in the legend hides what is drawn of it, and shows it again.

for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const isShown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", isShown);
    for (const part of button.closest(".chart").querySelectorAll(`[data-series="${button.value}"]`)) {
      part.style.display = isShown ? "" : "none";
    }
  });
}

// Tables: a heading sorts, first upwards, then downwards; what has no value stays at the end.

function order(row, column) {
  const cell = row.cells[column];
  return "order" in cell.dataset ? Number(cell.dataset.order) : cell.textContent.trim();
}

function compare(first, second) {
  if (typeof first === typeof second) {
    return typeof first === "number" ? first - second : first.localeCompare(second, undefined, { numeric: true });
  }
  return typeof first === "number" ? -1 : 1;
}

function sort(heading) {
  const body = heading.closest("table").tBodies[0];
  const isUp = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", isUp ? "ascending" : "descending");
  const keyed = [...body.rows].map((row) => [order(row, heading.cellIndex), row]);
  const [empty, full] = [keyed.filter(([key]) => key === ""), keyed.filter(([key]) => key !== "")];
  full.sort(([first], [second]) => (isUp ? compare(first, second) : compare(second, first)));
  body.append(...[...full, ...empty].map(([, row]) => row));
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sort(button.closest("th")));
}

// Two trials side by side.

const choices = ["first", "second"].map((name) => document.getElementById(name));

function showDifferences() {
  const { names, trials } = content.differences;
  const [first, second] = choices.map((choice) => trials[choice.value]);
  const rows = names.map((name, place) => [name, first[place], second[place]]).filter(([, one, other]) => one !== other);
  const table = document.getElementById("differences");
  table.tBodies[0].replaceChildren(
    ...rows.map((texts) => {
      const row = document.createElement("tr");
      texts.forEach((text, place) => {
        const cell = document.createElement(place === 0 ? "th" : "td");
        if (place === 0) cell.scope = "row";
        cell.textContent = text ?? "–";
        row.append(cell);
      });
      return row;
    }),
  );
  table.closest(".scroll").hidden = rows.length === 0;
  document.getElementById("no-difference").hidden = rows.length > 0;
}

for (const choice of choices) choice.addEventListener("change", showDifferences);
showDifferences();
