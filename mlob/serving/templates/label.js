"use strict";

const AT_ONCE = 4; // requests under way: the server takes photos that wait together
const LIKELY = 0.05; // others are shown from this probability on, the rest on demand
const find = (id) => document.getElementById(id);
const GROUPS = JSON.parse(find("cards").dataset.groups); // in the order of the data set
const queue = [];
const answers = new Map(); // card: what the server said
let underWay = 0;

// What the slider does: each threshold times a power of two; in the middle the ensemble's own decision stands.

function factor() {
  return 2 ** -Number(find("threshold").value);
}

function isGiven(label, times) {
  return times === 1 ? label.given : label.probability >= label.threshold * times;
}

function tellMeaning() {
  const times = factor();
  find("meaning").textContent = times === 1 ? "as the ensemble decides" : `each threshold times ${times.toFixed(2)}`;
  find("reset").hidden = times === 1;
}

// Cards

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

function rowOf(label, times) {
  const given = isGiven(label, times);
  const row = element("div", undefined, given ? "row given" : "row");
  const meter = element("span", undefined, "meter");
  const reached = Math.min(1, label.threshold * times);
  meter.append(element("i"), element("b"));
  meter.firstChild.style.width = `${100 * label.probability}%`;
  meter.lastChild.style.left = `calc(${100 * reached}% - ${2 * reached}px)`;
  meter.title = `${percent(label.probability)}; ${percent(reached)} is enough`;
  row.append(element("span", label.name), meter, element("span", percent(label.probability)));
  row.setAttribute("aria-label", `${label.name}, ${percent(label.probability)}, ${given ? "given" : "not given"}`);
  row.setAttribute("role", "listitem");
  return row;
}

function fill(home, labels, times) {
  home.replaceChildren();
  for (const group of GROUPS) {
    const own = labels.filter((label) => label.group === group);
    if (!own.length) continue;
    const list = element("div");
    list.setAttribute("role", "list");
    list.append(...own.map((label) => rowOf(label, times)));
    if (group) home.append(element("h4", group));
    home.append(list);
  }
}

function show(card) {
  const answer = answers.get(card);
  const state = card.querySelector(".state");
  state.classList.toggle("failed", Boolean(answer.failure));
  if (answer.failure) return void (state.textContent = `Not read: ${answer.failure}`);
  const times = factor();
  const given = answer.all.filter((label) => isGiven(label, times));
  const shown = answer.all.filter((label) => isGiven(label, times) || label.probability >= LIKELY);
  const rest = answer.all.filter((label) => !shown.includes(label));
  state.textContent = given.length ? "" : "No label reaches its threshold.";
  const [home, others] = card.querySelectorAll(".groups");
  fill(home, shown, times);
  const details = card.querySelector("details");
  details.hidden = !rest.length;
  details.querySelector("summary").textContent = `${rest.length} less likely`;
  fill(others, rest, times);
}

function cardOf(file) {
  const card = find("card").content.firstElementChild.cloneNode(true);
  const image = card.querySelector("img");
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  image.addEventListener("error", () => image.removeAttribute("src"));
  card.querySelector("h3").textContent = file.name;
  card.querySelector(".state").textContent = "waits";
  return card;
}

function fail(card, failure) {
  answers.set(card, { failure });
  show(card);
}

// Sending

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

async function ask(file) {
  for (;;) {
    const form = new FormData();
    form.append("files", file, file.name);
    const response = await fetch("label", { method: "POST", body: form });
    const said = await response.json().catch(() => ({}));
    if (response.ok) return said.photos[0];
    if (response.status !== 503) throw new Error(said.detail || `status ${response.status}`);
    await pause(Number(response.headers.get("Retry-After")) || 1);
  }
}

async function send({ card, file }) {
  if (file.size > 0.99 * Number(find("files").dataset.bytes)) return fail(card, "too many bytes");
  try {
    const { failure, labels, others } = await ask(file);
    const given = labels.map((label) => ({ ...label, given: true }));
    answers.set(card, { failure, all: [...given, ...others].sort((a, b) => b.probability - a.probability) });
    show(card);
  } catch (error) {
    fail(card, error instanceof TypeError ? "the server does not answer" : error.message);
  }
}

function tellState() {
  const left = queue.length + underWay;
  find("status").textContent = left ? `${left} of ${find("cards").children.length} photos to go` : "";
  find("tools").hidden = !find("cards").children.length;
}

async function work() {
  if (!queue.length || underWay >= AT_ONCE) return;
  underWay += 1;
  await send(queue.shift());
  underWay -= 1;
  tellState();
  work();
}

function add(files) {
  const added = files.map((file) => ({ card: cardOf(file), file }));
  find("cards").prepend(...added.map(({ card }) => card));
  queue.push(...added);
  tellState();
  for (let number = 0; number < AT_ONCE; number += 1) work();
}

// What people do

find("files").addEventListener("change", (event) => {
  add([...event.target.files]);
  event.target.value = "";
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") add([...event.dataTransfer.files]);
  });
}
document.addEventListener("paste", (event) => add([...event.clipboardData.files]));
find("threshold").addEventListener("input", () => {
  tellMeaning();
  for (const card of answers.keys()) show(card);
});
find("reset").addEventListener("click", () => {
  find("threshold").value = 0;
  find("threshold").dispatchEvent(new Event("input"));
});
find("clear").addEventListener("click", () => {
  for (const image of find("cards").querySelectorAll("img[src]")) URL.revokeObjectURL(image.src);
  queue.length = 0;
  answers.clear();
  find("cards").replaceChildren();
  tellState();
});
find("scriptless").hidden = true;
tellMeaning();
