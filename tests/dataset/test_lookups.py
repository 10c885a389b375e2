import pytest

from growth.dataset import entry_group, reference
from growth.dataset.lookups import scenes
from growth.errors import ParameterError


def test_every_table_that_comes_with_the_package_is_found():
    assert len(reference("wechat_scenes")) == 260
    assert reference("channel_costs.csv") == reference("channel_costs")


def test_an_unknown_table_gets_a_suggestion():
    with pytest.raises(ParameterError, match="Did you mean 'wechat_scenes'") as info:
        reference("wechat_scene")
    assert info.value.code == "unknown_reference"


@pytest.mark.parametrize(
    ("scene", "group"),
    [(1007, "chat_share"), (1001, "recent_pulldown"), (9999, "x_other"), (None, None)],
)
def test_a_scene_tells_its_entrance(scene, group):
    assert entry_group(scene) == group


def test_a_row_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        scenes()[1007]["entry_group"] = "ads"
