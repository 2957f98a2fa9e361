"use strict";

function valueOf(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b) : a === b ? 0 : a - b;
}

function sortBy(header) {
  const body = header.closest("table").tBodies[0];
  const first = header.classList.contains("number") ? "descending" : "ascending";
  const other = first === "ascending" ? "descending" : "ascending";
  const order = header.getAttribute("aria-sort") === first ? other : first;
  for (const cell of header.parentNode.cells) cell.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const column = header.cellIndex;
  body.append(...[...body.rows].sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column))));
}

function narrow(input) {
  const items = [...document.getElementById(input.dataset.narrows).children];
  const text = input.value.trim().toLowerCase();
  for (const item of items) item.hidden = !item.textContent.toLowerCase().includes(text);
  const left = items.filter((item) => !item.hidden).length;
  input.parentNode.querySelector("output").textContent = text ? `${left} of ${items.length}` : "";
}

for (const button of document.querySelectorAll(".sortable thead button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}
for (const input of document.querySelectorAll("input[data-narrows]")) {
  input.addEventListener("input", () => narrow(input));
}
