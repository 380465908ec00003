from madm_core.labels import MADM9
from madm_core.palette_names import PALETTES
from madm_core.palettes import in_palette


def test_every_name_is_a_palette_of_its_own():
    found = [in_palette(MADM9, name) for name in PALETTES]
    assert len({palette.colors for palette in found}) == len(PALETTES)
    assert all(palette.names == MADM9.names for palette in found)
