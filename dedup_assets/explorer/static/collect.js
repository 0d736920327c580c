// The dialog that asks for a collection, and what comes of it.
import { get, post } from "/static/api.js";
import { $, count, h, plural, say } from "/static/dom.js";
import { watchRun } from "/static/run.js";
import { reviewer } from "/static/shell.js";

const DUPLICATES = "Duplicates";

// Ask where to put (or, `take`, where to take from) the selected images, and do it; whether anything was done.
export async function chooseCollection(take, size, selected) {
  const { tag: collections } = await get("/api/filters");
  const names = collections.filter(([name]) => name !== DUPLICATES);
  const dialog = $("[data-collection-dialog]");
  const title = take ? `Remove ${plural(size, "image")} from` : `Add ${plural(size, "image")} to`;
  const fresh = h("input", { type: "text", maxLength: 80, placeholder: "new collection", "aria-label": "Name of a new collection", oninput: (event) => { event.target.previousSibling.checked = true; } });
  const choice = (name, note, rest = name) => h("label", {}, h("input", { type: "radio", name: "collection", value: name }), rest, h("span", { class: "note" }, note));
  const choices = [
    ...(take ? [] : [choice("", "", fresh)]),
    ...names.map(([name, images]) => choice(name, count(images))),
    ...(take ? [] : [choice(DUPLICATES, "decides to remove them", h("strong", {}, DUPLICATES))]),
  ];
  const form = h("form", { method: "dialog" },
    h("div", { class: "choices" }, choices.length ? choices : h("p", { class: "muted" }, "There is no collection of yours yet.")),
    h("div", { class: "dialog-end" },
      h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"),
      h("button", { class: "primary", value: "go" }, take ? "Remove" : "Add")));
  dialog.replaceChildren(h("h2", { id: "collection-title" }, title), form);
  ($("input", form) ?? dialog).checked = true;
  const answer = await ask(dialog);
  const picked = $("input[name=collection]:checked", form);
  const tag = picked && (picked.value || fresh.value.trim());
  if (answer !== "go" || !tag) return false;
  try {
    return tag === DUPLICATES ? await decide(dialog, selected) : await collect(take, tag, selected);
  } catch (error) {
    say(error.message, true);
    return false;
  }
}

function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => { dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }); });
}

async function collect(take, tag, selected) {
  const { changed } = await post(`/api/collections/${take ? "take" : "add"}`, { tag, ...selected });
  say(take ? `${plural(changed, "image")} taken out of ${tag}` : `${plural(changed, "image")} added to ${tag}`);
  return true;
}

// Images added to Duplicates are decisions to remove; what that means is shown first.
async function decide(dialog, selected) {
  const plan = await post("/api/collections/duplicates", { ...selected, confirm: false });
  const facts = [
    [plan.removes, `${plural(plan.removes, "image")} will be removed, each for a near duplicate that stays`],
    [plan.already, `${plural(plan.already, "image")} ${plan.already === 1 ? "is" : "are"} in Duplicates already`],
    [plan.keptBack, `${plural(plan.keptBack, "image")} stay${plan.keptBack === 1 ? "s" : ""}, because nothing else of the group would be left`],
    [plan.alone, `${plural(plan.alone, "image")} ${plan.alone === 1 ? "has" : "have"} no near duplicate and stay${plan.alone === 1 ? "s" : ""}; discard on the image page lets one go`],
  ];
  dialog.replaceChildren(
    h("h2", { id: "collection-title" }, "Add to Duplicates"),
    h("ul", {}, facts.filter(([images]) => images).map(([, sentence]) => h("li", {}, sentence))),
    h("p", { class: "muted small" }, "These are decisions, written to the decisions file at once; apply them to change the dataset. They can be undone."),
    h("form", { method: "dialog", class: "dialog-end" },
      h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"),
      h("button", { class: "primary", value: "go", disabled: !plan.removes }, `Decide to remove ${count(plan.removes)}`)));
  if (await ask(dialog) !== "go") return false;
  const done = await post("/api/collections/duplicates", { ...selected, confirm: true, seen: plan.seen, reviewer: reviewer() });
  say(`${plural(done.removes, "image")} decided to be removed`);
  watchRun();
  return true;
}
