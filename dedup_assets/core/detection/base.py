"""What an embedder is: a picture in, a few unit vectors out, and the map from their cosine to a distance."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_EMBEDDER = "thumbnail"
TURNED_EMBEDDER = "thumbnail-turned"


@dataclass(frozen=True, slots=True)
class Calibration:
    """The monotone map from the cosine of two vectors to a distance in [0, 1], 0 = same picture.

    The half-angle distance u = 1 - sqrt((1 + cos) / 2) is mapped piecewise linearly from `knots_u` to `knots_distance`;
    both rise strictly from 0 to 1. The default map is u itself. Between a view and a full frame it counts `view_factor`
    times: many views have many chances to be near by chance.
    """

    knots_u: tuple[float, ...] = (0.0, 1.0)
    knots_distance: tuple[float, ...] = (0.0, 1.0)
    view_factor: float = 1.0

    def distance(self, cosine: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distances of the same shape as `cosine` (in [-1, 1]), 0..1, 0 = same picture."""
        u = 1.0 - np.sqrt(np.clip((1.0 + cosine) / 2.0, 0.0, 1.0))
        return np.interp(u, self.knots_u, self.knots_distance)

    def cosine(self, distance: float) -> float:
        """The smallest cosine whose distance is still <= `distance`."""
        u = float(np.interp(distance, self.knots_distance, self.knots_u))
        return 2.0 * (1.0 - u) ** 2 - 1.0


class Embedder(Protocol):
    """Turns pictures into vectors. Two embedders of the same name and version give the same vectors."""

    @property
    def name(self) -> str:
        """Its name, as the command line takes it."""

    @property
    def version(self) -> str:
        """Changes whenever a vector would."""

    @property
    def picture_size(self) -> int:
        """Side of the squashed square pictures it wants, in pixels; SKETCH_SIZE needs no second decode."""

    @property
    def dimension(self) -> int:
        """Length of one vector."""

    @property
    def views(self) -> int:
        """Vectors per picture: view 0 is the full frame, others are what a near duplicate of it might show."""

    @property
    def turns(self) -> tuple[int, ...]:
        """(views,) by how many quarters each view shows the picture turned, anticlockwise; mirrored views, too."""

    @property
    def calibration(self) -> Calibration:
        """From cosine to distance."""

    @property
    def candidate_distance(self) -> float:
        """Pairs of a view and a full frame within this distance are offered to the second stage."""

    def embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, picture_size, picture_size, 3) uint8 RGB -> (n, views, dimension) float32, rows L2-normalised."""
