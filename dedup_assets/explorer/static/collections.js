// The collections page: datasets from collections, and ending one.
import { post } from "/static/api.js";
import { $, $$, h, plural, say } from "/static/dom.js";

const dialog = $("[data-dataset-dialog]");

for (const card of $$("[data-collection]")) {
  const tag = card.dataset.collection;
  for (const button of $$("[data-make]", card)) button.addEventListener("click", () => ask(button.dataset.make, tag));
  $("[data-end]", card)?.addEventListener("click", () => end(tag));
}

function ask(kind, tag) {
  const name = h("input", { name: "name", required: true, maxLength: 80, pattern: "[^./\\\\][^/\\\\]*", autocomplete: "off", title: "letters, digits, - and _" });
  const description = h("textarea", { name: "description", rows: 3 });
  const problem = h("p", { class: "notice bad", hidden: true, role: "alert" });
  const submit = h("button", { class: "primary" }, "Create dataset");
  const form = h("form", { class: "stack" },
    h("label", { class: "field" }, h("span", {}, "Name"), name),
    h("label", { class: "field" }, h("span", {}, "Description"), description),
    problem,
    h("div", { class: "dialog-end" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), submit));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      const made = await post("/api/collections/dataset", { [kind]: [tag], name: name.value, description: description.value });
      dialog.replaceChildren(
        h("h2", { id: "dataset-title" }, made.created ? "The dataset is written" : "The dataset stood there already"),
        h("p", {}, `${plural(made.kept, "image")}, version ${made.version}`),
        h("p", { class: "mono path", "data-folder": made.folder }, made.folder),
        h("div", { class: "dialog-end" }, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Close")));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      submit.disabled = false;
    }
  });
  dialog.replaceChildren(h("h2", { id: "dataset-title" }, kind === "tags" ? `Dataset of ${tag}` : `Dataset of everything but ${tag}`), form);
  dialog.showModal();
}

function end(tag) {
  dialog.replaceChildren(
    h("h2", { id: "dataset-title" }, `Delete the collection ${tag}?`),
    h("p", {}, "The images stay where they are; only the collection ends."),
    h("div", { class: "dialog-end" },
      h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
      h("button", { type: "button", class: "primary", onclick: async () => {
        try {
          await post("/api/collections/take", { tag, everything: true });
          location.reload();
        } catch (error) {
          say(error.message, true);
        }
      } }, "Delete")));
  dialog.showModal();
}
