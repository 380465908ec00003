"""StreetWorld: a synthetic street with all sensors and exact labels. Everything made here is synthetic and says so.

Needs the extra ``streetworld`` (trimesh and embreex).
"""
