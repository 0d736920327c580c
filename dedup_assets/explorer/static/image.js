// The image page: deciding about it, and what else resembles it.
import { get, post } from "/static/api.js";
import { $, $$, h, imagePage, picture, say, score } from "/static/dom.js";
import { watchRun } from "/static/run.js";
import { reviewer } from "/static/shell.js";

const decide = $("[data-decide]");

async function asked(work) {
  try {
    await work();
    watchRun();
  } catch (error) {
    say(error.message, true);
  }
}

function showDecision(word) {
  const verdict = $("[data-verdict]");
  const chip = $(".chip.decided", verdict) ?? verdict.appendChild(h("span", { class: "chip decided" }));
  chip.textContent = `decided: ${word}`;
  $("[data-undo]", decide).hidden = false;
}

for (const button of decide ? $$("[data-word]", decide) : []) {
  button.addEventListener("click", () => asked(async () => {
    await post("/api/decide", { images: [decide.dataset.image], decision: button.dataset.word, reviewer: reviewer() });
    say(`Decided: ${button.dataset.word}. Apply decisions to change the dataset.`);
    showDecision(button.dataset.word);
  }));
}

if (decide) {
  $("[data-undo]", decide).addEventListener("click", () => asked(async () => {
    const { undone } = await post("/api/review/undo", { reviewer: reviewer(), image: decide.dataset.image });
    if (undone) location.reload();
    else say("You did not decide about this image alone; Keep or Discard overrules what stands.", true);
  }));
}

async function showResembling(host) {
  const { images, why } = await get("/api/resembling", new URLSearchParams({ id: host.dataset.resembling }));
  if (why) host.append(h("p", { class: "muted" }, why));
  if (images.length) {
    host.append(
      h("h2", {}, "Next in resemblance ", h("span", { class: "muted" }, "by vectors alone, other pictures")),
      h("ul", { class: "strip" }, images.map(({ tile, distance }) => h("li", {},
        h("a", { class: "mini", href: imagePage(tile.id) },
          picture(tile, 320, { loading: "lazy" }),
          h("span", { class: "mini-line" }, h("span", { class: "numbers" }, score(distance))),
          h("span", { class: "mini-line path muted", title: tile.id }, tile.id))))),
    );
  }
}

const host = $("[data-resembling]");
if (host) showResembling(host);
