// Decisions on their way: sent one after the other, kept in this browser, by store, until the server has written them.
import { OtherStore, Unanswered, post, store } from "/static/api.js";
import { $, h, plural } from "/static/dom.js";

const KEY = `unsent-decisions ${store}`;
const RETRY_MS = 1500;

export class Outbox {
  // settled(answer or null, error or null, message) follows each one.
  constructor(settled) {
    this.settled = settled;
    this.waiting = stored();
    this.busy = false;
  }

  add(path, body) {
    this.waiting.push({ path, body });
    this.keep();
    this.send();
  }

  get idle() {
    return !this.waiting.length;
  }

  async send() {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.waiting.length) await this.sendFirst();
    } finally {
      this.busy = false;
    }
  }

  async sendFirst() {
    const [message] = this.waiting;
    let [answer, refusal] = [null, null];
    try {
      answer = await post(message.path, message.body);
    } catch (error) {
      if (error instanceof Unanswered || error instanceof OtherStore) {
        this.warn(error instanceof OtherStore ? "The server shows another store by now; reload the page." : error.message);
        await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
        return;
      }
      refusal = error;
    }
    this.done();
    this.settled(answer, refusal, message);
  }

  done() {
    this.waiting.shift();
    this.keep();
    $(".unsaved")?.remove();
  }

  keep() {
    $("[data-actions]").setAttribute("aria-busy", String(!this.idle));
    try { localStorage.setItem(KEY, JSON.stringify(this.waiting)); } catch { /* a private window keeps nothing */ }
  }

  // A notice as long as they cannot be sent.
  warn(why) {
    const sentence = `${why} ${plural(this.waiting.length, "decision")} kept in this browser until the server shows this store again.`;
    const shown = $(".unsaved");
    if (!shown) document.body.append(h("p", { class: "notice bad unsaved", role: "alert" }, sentence));
    else if (shown.textContent !== sentence) shown.textContent = sentence;
  }
}

function stored() {
  try { return JSON.parse(localStorage.getItem(KEY) ?? "[]"); } catch { return []; }
}
