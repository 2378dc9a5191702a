"""How sure a share is that was counted on few images."""

import math
from typing import Final

_Z_95: Final = 1.96


def wilson_interval(share: float, num_images: int) -> tuple[float, float]:
    """The 95 % interval of a share. Source: E. B. Wilson, Journal of the American Statistical Association 22, 1927."""
    weight = _Z_95**2 / num_images
    middle = (share + weight / 2) / (1 + weight)
    reach = _Z_95 / (1 + weight) * math.sqrt(share * (1 - share) / num_images + weight / (4 * num_images))
    return max(0.0, middle - reach), min(1.0, middle + reach)
