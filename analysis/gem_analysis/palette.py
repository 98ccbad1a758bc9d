"""Colours by what they stand for: Okabe and Ito's palette, which people with any colour vision can tell apart
(https://jfly.uni-koeln.de/color/); yellow is left out, since it cannot be seen on white."""

ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"

from collections.abc import Iterable

# role: (on light ground, on dark ground)
ROLES: dict[str, tuple[str, str]] = {
    "linear": ("#6B7280", "#A6AEBB"),
    "round-robin": (PURPLE, PURPLE),
    "eplb": (ORANGE, ORANGE),
    "speed-aware": (GREEN, "#12B886"),
    "paper": (VERMILLION, "#F0803C"),
    "gem": (BLUE, SKY),
    "predicted": ("#8A5A2B", "#C99A63"),
    "device-0": (BLUE, "#3D9BE0"),
    "device-1": (VERMILLION, "#F0803C"),
    "device-2": (GREEN, "#12B886"),
    "device-3": (PURPLE, PURPLE),
    "device-4": (ORANGE, ORANGE),
    "device-5": (SKY, "#9AD4F5"),
    "device-6": ("#3B4252", "#C9D1DC"),
    "dispatch": (SKY, "#9AD4F5"),
    "compute": (BLUE, "#3D9BE0"),
    "combine": (GREEN, "#12B886"),
    "wait": ("#F3D9A4", "#6B5526"),
    "consistent": (BLUE, "#3D9BE0"),
    "temporal": (VERMILLION, "#F0803C"),
    "other": ("#AEB9C9", "#566377"),
    "bound": ("#3B4252", "#C9D1DC"),
}
DEVICE_ROLES = 7

# Shapes of points beside their colours, for grey print; roles that never meet in one picture may share one.
MARKERS = {
    "linear": "cross",
    "round-robin": "triangle-down",
    "eplb": "triangle",
    "speed-aware": "square",
    "paper": "diamond",
    "gem": "circle",
    "bound": "plus",
    "predicted": "star",
    "device-0": "circle",
    "device-1": "square",
    "device-2": "triangle",
    "device-3": "diamond",
    "device-4": "triangle-down",
    "device-5": "cross",
    "device-6": "plus",
    "temporal": "diamond",
}
# Dashes of lines beside their colours, in units of the line's width; roles that aren't here are drawn through.
DASHES: dict[str, tuple[float, ...]] = {
    "linear": (6, 2),
    "round-robin": (2, 2),
    "eplb": (5, 2, 1, 2),
    "speed-aware": (4, 1),
    "paper": (1, 1),
    "device-1": (5, 2),
    "device-2": (1, 1),
    "device-3": (5, 2, 1, 2),
    "device-4": (3, 1),
    "device-5": (2, 2),
    "device-6": (7, 2, 1, 2),
    "temporal": (4, 2),
    "bound": (1, 2),
}

# Heat maps: even steps from little to much. More is darker on light ground and brighter on dark ground.
SEQUENTIAL = (
    ["#F2F5F9", "#C6DDF0", "#86BBE0", "#3D8FC6", "#0B66A4", "#06406D", "#031E38"],
    ["#1A212B", "#123B5C", "#0F5E93", "#2A86C4", "#63AEE2", "#A9D5F5", "#EAF6FF"],
)
# From below (blue) over nothing to above (vermillion).
DIVERGING = (
    ["#08519C", "#4A90C8", "#A9CDE6", "#F3F4F6", "#F3BE94", "#E07B35", "#A84300"],
    ["#7CC4F5", "#3A8AC4", "#1F4D73", "#1A212B", "#6E3D17", "#C4681F", "#F5A35F"],
)


def mapping_role(method: str) -> str:
    """Role of a placement method; methods that are not known get a device's colour."""
    return method if method in ROLES else f"device-{sum(map(ord, method)) % DEVICE_ROLES}"


def device_role(index: int) -> str:
    return f"device-{index % DEVICE_ROLES}"


def mapping_styles(names_and_methods: Iterable[tuple[str, str]]) -> dict[str, tuple[str, bool]]:
    """[(name, method)] -> {name: (role, dashed)}; a second mapping of one method is dashed."""
    styles: dict[str, tuple[str, bool]] = {}
    used: set[str] = set()
    for name, method in names_and_methods:
        role = mapping_role(method)
        styles[name] = (role, role in used)
        used.add(role)
    return styles
