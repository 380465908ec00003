"""StreetWorld: a synthetic street with all sensors and exact labels. Everything made here is synthetic and says so.

Needs the extra ``streetworld`` (trimesh and embreex).
"""

SENSORS = ("rgb", "depth", "thermal", "event")
"""What the street's camera carries."""

CONDITIONS = ("day", "dusk", "night", "fog", "wet")
"""Light and weather that a street can be asked for."""
