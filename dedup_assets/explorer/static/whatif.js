// What if: two thresholds, and what they would do. The address holds them.
import { get } from "/static/api.js";
import { $, $$, baseName, count, h, imagePage, picture, plural, read, say, score } from "/static/dom.js";
import { startRun } from "/static/run.js";

const { used, defaults, limit } = read("settings");
const form = $("[data-controls]");
const sliders = Object.fromEntries($$("[data-slider]").map((slider) => [slider.dataset.slider, slider]));
const given = new URLSearchParams(location.search);
const now = { duplicate: Number(given.get("duplicate") ?? used.duplicate), near: Number(given.get("near") ?? used.near) };
let asked = 0;

const toPlace = (value) => Math.round(Math.cbrt(Math.min(value / limit, 1)) * 1000);
const toValue = (place) => Number(((place / 1000) ** 3 * limit).toPrecision(2));

function set(changes) {
  Object.assign(now, changes);
  for (const name of ["duplicate", "near"]) {
    form.elements[name].value = String(now[name]);
    sliders[name].value = toPlace(now[name]);
  }
  const same = now.duplicate === used.duplicate && now.near === used.near;
  history.replaceState(null, "", same ? location.pathname : `?${new URLSearchParams(now)}`);
  $("[data-go]").disabled = same;
  return ask();
}

async function ask() {
  const ticket = (asked += 1);
  try {
    const found = await get("/api/whatif", new URLSearchParams(now));
    if (ticket === asked) show(found);
  } catch (error) {
    if (ticket !== asked) return;
    problem(error.message);
    $("[data-go]").disabled = true;
  }
}

function show(found) {
  problem(found.problem);
  const by = found.removed - found.nowRemoved;
  const figures = [
    ["Removed", found.removed, by ? `${by > 0 ? "+" : "−"}${count(Math.abs(by))} against now` : "as now"],
    ["Kept", found.kept, ""],
    ["Near duplicates", found.near, `in ${plural(found.groups, "group")}`],
    ["Pairs to decide", found.waiting, ""],
  ];
  $("[data-outcome]").replaceChildren(...figures.map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, count(value)), h("dd", { class: "change" }, note))));
  for (const name of ["leave", "comeBack"]) {
    const { total, shown } = found[name];
    $(`[data-count=${name}]`).textContent = count(total) + (total > shown.length ? `, the farthest ${shown.length} shown` : "");
    $(`[data-list=${name}]`).replaceChildren(...(shown.length ? shown.map(pair) : [h("li", { class: "muted" }, "nobody")]));
  }
}

function pair({ image, keeper, distance }) {
  return h("li", {}, h("a", { class: "pair", href: imagePage(image.id), title: image.id },
    h("div", { class: "pair-pictures" }, picture(keeper ?? { status: "discarded" }, 320, { loading: "lazy" }), picture(image, 320, { loading: "lazy" })),
    h("span", { class: "name" }, baseName(image.id)),
    h("span", { class: "muted numbers" }, distance === null ? "" : `distance ${score(distance)}`)));
}

function problem(sentence) {
  $("[data-problem]").textContent = sentence ?? "";
  $("[data-problem]").hidden = !sentence;
}

for (const name of ["duplicate", "near"]) {
  sliders[name].addEventListener("input", () => set({ [name]: toValue(sliders[name].value) }));
  form.elements[name].addEventListener("change", (event) => {
    const value = Number(event.target.value.replace(",", "."));
    if (value >= 0 && value <= 1) set({ [name]: value });
    else say("A threshold lies between 0 and 1.", true);
  });
}
for (const button of $$("[data-set]")) button.addEventListener("click", () => set(button.dataset.set === "used" ? used : defaults));
$("[data-go]").addEventListener("click", () => startRun(now));
form.addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("store-changed", () => location.reload());
set({});
