// A closer look: the pictures side by side at the full size of the larger one, all around the same place.
import { $$, thumb } from "/static/dom.js";

const LEAST = 2; // times larger than the whole picture is shown
const STEP = 0.1;
const PREPARED = 1280; // pixels a side of the pictures on the stage
const SHOWN_BY_BROWSERS = ["JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP"];

export class Zoom {
  // changed(on) follows when it begins and ends.
  constructor(stage, changed) {
    Object.assign(this, { stage, changed, place: null });
    stage.addEventListener("click", (event) => {
      const canvas = event.target.closest(".side .canvas");
      if (canvas) this.toggle(placeUnder(event, canvas));
    });
    stage.addEventListener("pointermove", (event) => {
      const canvas = this.place && event.target.closest(".side .canvas");
      if (canvas) this.look(placeUnder(event, canvas));
    });
    new ResizeObserver(() => this.show()).observe(stage);
  }

  toggle(place = [0.5, 0.5]) {
    this.look(this.place ? null : place);
    this.changed(Boolean(this.place));
  }

  end() {
    if (this.place) this.toggle();
  }

  // Towards an edge by a step; whether there was anything to move.
  pan(right, down) {
    if (!this.place) return false;
    this.look([this.place[0] + right * STEP, this.place[1] + down * STEP].map((at) => Math.min(Math.max(at, 0), 1)));
    return true;
  }

  look(place) {
    this.place = place;
    this.show();
  }

  // Bring the pictures on the stage to where it looks.
  show() {
    const pictures = $$(".side .canvas img", this.stage).map((img) => ({ img, ...fitted(img, img.parentElement) }));
    const times = Math.max(LEAST, ...pictures.map(({ img, width }) => img.dataset.width / devicePixelRatio / width));
    this.stage.classList.toggle("zoomed", Boolean(this.place));
    for (const { img, left, top, width, height } of pictures) {
      img.style.transform = this.place ? `scale(${times})` : "";
      if (!this.place) continue;
      img.style.transformOrigin = `${left + this.place[0] * width}px ${top + this.place[1] * height}px`;
      sharpen(img);
    }
  }
}

// Put the full size in place once it is there; a file that is gone leaves what is shown.
function sharpen(img) {
  const { full } = img.dataset;
  if (!full) return;
  delete img.dataset.full;
  const whole = new Image();
  whole.src = full;
  whole.decode().then(() => { img.src = full; }, () => {});
}

// Where the picture at full size is, null where the stage shows it already.
export function fullSize(image) {
  if (Math.max(image.width, image.height) <= PREPARED) return null;
  return SHOWN_BY_BROWSERS.includes(image.format) ? `/original/${image.hash}` : thumb(image.hash, 4096);
}

// The place of a picture in the box that it is fitted into.
function fitted(img, { clientWidth, clientHeight }) {
  const scale = Math.min(clientWidth / img.dataset.width, clientHeight / img.dataset.height);
  const [width, height] = [img.dataset.width * scale, img.dataset.height * scale];
  return { width, height, left: (clientWidth - width) / 2, top: (clientHeight - height) / 2 };
}

// The place in the picture (0..1 across and down) that the pointer is at.
function placeUnder({ clientX, clientY }, canvas) {
  const [box, img] = [canvas.getBoundingClientRect(), canvas.querySelector("img")];
  if (!img) return [0.5, 0.5];
  const { left, top, width, height } = fitted(img, canvas);
  const within = (at) => Math.min(Math.max(at, 0), 1);
  return [within((clientX - box.left - left) / width), within((clientY - box.top - top) / height)];
}
