"""Placeholder, to be replaced as a whole."""

import numpy as np
from dedup_assets.core.embedders import Calibration
from dedup_assets.core.images import SKETCH_SIZE


class ThumbnailEmbedder:
    name = "thumbnail"
    version = "0"
    picture_size = SKETCH_SIZE
    dimension = 768
    views = 1
    calibration = Calibration()
    candidate_distance = 0.12

    def embed(self, pictures):
        x = pictures.reshape(len(pictures), 16, 3, 16, 3, 3).mean(axis=(2, 4)).reshape(len(pictures), -1)
        x = x - x.mean(axis=1, keepdims=True) + 1e-3
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)[:, None, :]
