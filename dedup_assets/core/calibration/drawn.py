"""What planted edits draw: frames, captions, stickers, screenshots. Each takes a picture and a random generator."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Picture = Image.Image
Apply = Callable[[Picture, np.random.Generator], Picture]

WHITE = (255, 255, 255, 255)


def border(left: float, top: float, right: float, bottom: float, colour: str) -> Apply:
    """Added outside the picture, each side as a share of the picture's own."""

    def apply(picture: Picture, _: np.random.Generator) -> Picture:
        width, height = picture.size
        sides = round(left * width), round(top * height), round(right * width), round(bottom * height)
        return ImageOps.expand(picture, sides, colour)

    return apply


def blurred_bars(picture: Picture, _: np.random.Generator) -> Picture:
    wide = picture.resize((round(picture.width * 1.3), picture.height)).filter(ImageFilter.GaussianBlur(12))
    wide = ImageEnhance.Brightness(wide).enhance(0.7)
    wide.paste(picture, ((wide.width - picture.width) // 2, 0))
    return wide


def _write(picture: Picture, text: str, at: tuple[float, float], size: float, colour: tuple[int, ...]) -> Picture:
    """Text centred at `at` (shares of the sides), `size` as a share of the height, colour RGBA."""
    layer = Image.new("RGBA", picture.size)
    font = ImageFont.load_default(max(6.0, size * picture.height))
    place = (at[0] * picture.width, at[1] * picture.height)
    ImageDraw.Draw(layer).text(place, text, colour, font, anchor="mm", stroke_width=1, stroke_fill=(0, 0, 0, colour[3]))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def caption_below(picture: Picture, generator: np.random.Generator) -> Picture:
    framed = border(0, 0, 0, 0.16, "white")(picture, generator)
    return _write(framed, "Where we were last summer", (0.5, 0.93), 0.06, (20, 20, 20, 255))


def caption_inside(picture: Picture, _: np.random.Generator) -> Picture:
    barred = picture.copy()
    barred.paste((0, 0, 0), (0, round(0.87 * picture.height), *picture.size))
    return _write(barred, "breaking: it was a quiet day", (0.5, 0.935), 0.06, WHITE)


def meme(picture: Picture, _: np.random.Generator) -> Picture:
    above = _write(picture, "ONE DOES NOT", (0.5, 0.1), 0.13, WHITE)
    return _write(above, "SIMPLY CROP", (0.5, 0.9), 0.13, WHITE)


def watermark(picture: Picture, _: np.random.Generator) -> Picture:
    for x, y in ((0.3, 0.2), (0.7, 0.5), (0.3, 0.8)):
        picture = _write(picture, "(c) sample photo", (x, y), 0.1, (255, 255, 255, 110))
    return picture


def timestamp(picture: Picture, _: np.random.Generator) -> Picture:
    return _write(picture, "2019-07-14 16:02", (0.78, 0.94), 0.05, (255, 160, 20, 255))


def scribble(picture: Picture, generator: np.random.Generator) -> Picture:
    drawn = picture.copy()
    points = [tuple(point) for point in (generator.uniform(0.15, 0.85, (6, 2)) * picture.size).tolist()]
    ImageDraw.Draw(drawn).line(points, "red", max(2, round(picture.width * 0.015)))
    return drawn


def play_button(picture: Picture, _: np.random.Generator) -> Picture:
    layer, radius = Image.new("RGBA", picture.size), 0.12 * min(picture.size)
    x, y = picture.width / 2, picture.height / 2
    draw = ImageDraw.Draw(layer)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), (0, 0, 0, 170))
    draw.polygon([(x - radius / 3, y - radius / 2), (x - radius / 3, y + radius / 2), (x + radius / 2, y)], "white")
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def sticker(share: float, shape: str) -> Apply:
    """An opaque thing that covers `share` of the area, anywhere."""

    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        side = max(2, round(np.sqrt(share * picture.width * picture.height / (0.785 if shape == "face" else 1))))
        thing = Image.new("RGB", (100, 100), tuple(generator.integers(0, 256, 3).tolist()))
        draw, mask = ImageDraw.Draw(thing), Image.new("L", (100, 100), 0 if shape == "face" else 255)
        if shape == "face":
            ImageDraw.Draw(mask).ellipse((0, 0, 99, 99), 255)
            draw.rectangle((0, 0, 100, 100), (255, 205, 50))
            draw.ellipse((25, 25, 38, 45), "black")
            draw.ellipse((62, 25, 75, 45), "black")
            draw.arc((20, 30, 80, 80), 20, 160, "black", 6)
        elif shape == "photo":
            colours = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            thing = Image.fromarray(colours).resize((100, 100), Image.Resampling.BICUBIC)
        width, height = min(side, picture.width), min(side, picture.height)
        left, top = (generator.uniform(0, 1, 2) * (picture.width - width, picture.height - height)).astype(int).tolist()
        stuck = picture.copy()
        stuck.paste(thing.resize((width, height)), (left, top), mask.resize((width, height)))
        return stuck

    return apply


def screenshot(picture: Picture, _: np.random.Generator) -> Picture:
    """The picture in a viewer's window: a title bar, a tool bar, a margin."""
    width, height = picture.size
    window = Image.new("RGB", (round(width * 1.12), round(height * 1.25)), (240, 240, 242))
    draw = ImageDraw.Draw(window)
    draw.rectangle((0, 0, window.width, round(height * 0.08)), (60, 63, 70))
    for button in range(3):
        left, size = round(width * (0.02 + 0.04 * button)), round(width * 0.025)
        draw.ellipse((left, size, left + size, 2 * size), ("#ff5f56", "#ffbd2e", "#27c93f")[button])
    window.paste(picture, (round(width * 0.06), round(height * 0.12)))
    return _write(window, "IMG_2041.JPG - 1 of 12", (0.5, 0.95), 0.035, (40, 40, 40, 255))


def phone(picture: Picture, _: np.random.Generator) -> Picture:
    bar = round(picture.height * 0.14)
    screen = ImageOps.expand(picture, (0, bar, 0, bar), "black")
    screen = _write(screen, "12:41      LTE 83%", (0.5, 0.04), 0.04, WHITE)
    return _write(screen, "<     O     =", (0.5, 0.95), 0.05, WHITE)


def text_column(picture: Picture, _: np.random.Generator) -> Picture:
    column = picture.copy()
    column.paste((250, 250, 245), (round(0.78 * picture.width), 0, *picture.size))
    for line in range(8):
        column = _write(column, "lorem ipsum", (0.89, 0.1 + 0.11 * line), 0.04, (30, 30, 30, 255))
    return column


def banner(picture: Picture, _: np.random.Generator) -> Picture:
    band = picture.copy()
    band.paste((200, 30, 40), (0, round(0.4 * picture.height), picture.width, round(0.55 * picture.height)))
    return _write(Image.blend(picture, band, 0.75), "SOLD OUT", (0.5, 0.475), 0.1, WHITE)


def confetti(picture: Picture, generator: np.random.Generator) -> Picture:
    for _ in range(6):
        picture = sticker(0.012, "face")(picture, generator)
    return picture


def page(picture: Picture, _: np.random.Generator) -> Picture:
    """The picture on a printed page, text under it."""
    framed = border(0.1, 0.1, 0.1, 0.3, "white")(picture, _)
    for line in range(3):
        framed = _write(framed, "as the figure above shows, the", (0.5, 0.84 + 0.05 * line), 0.03, (0, 0, 0, 255))
    return framed


def subtitle(picture: Picture, _: np.random.Generator) -> Picture:
    return _write(picture, "- I never said that.", (0.5, 0.88), 0.07, WHITE)


def logo(picture: Picture, _: np.random.Generator) -> Picture:
    marked = picture.copy()
    width, height = picture.width // 6, picture.height // 10
    marked.paste((20, 60, 160), (picture.width - width - 8, 8, picture.width - 8, 8 + height))
    return _write(marked, "NEWS", (1 - (width / 2 + 8) / picture.width, (height / 2 + 8) / picture.height), 0.06, WHITE)


def caption_above(picture: Picture, generator: np.random.Generator) -> Picture:
    framed = border(0, 0.16, 0, 0, "white")(picture, generator)
    return _write(framed, "me, every single monday", (0.5, 0.07), 0.06, (20, 20, 20, 255))
