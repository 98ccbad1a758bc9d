"""Types of the arrays that functions take and give; the axes stand beside each in square brackets."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = np.ndarray  # of numbers of any kind
Floats: TypeAlias = npt.NDArray[np.floating]
Integers: TypeAlias = npt.NDArray[np.integer]
Bools: TypeAlias = npt.NDArray[np.bool_]
