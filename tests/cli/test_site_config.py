from pathlib import Path

import pytest

from edgevid.cli._config import SiteSource, read_config
from edgevid.cli.run import command
from edgevid.errors import SpecError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(text)
    return path


def test_every_flag_may_be_said_with_either_dash(tmp_path):
    path = written(
        tmp_path,
        'model = "a.edgevid"\ngive-up-after = 60\nmax_batch = 4\nreconnect = false\n'
        'sources = ["a.mp4", { camera = 0, priority = 3 }, { uri = "rtsp://door/1" }]\n',
    )
    config = read_config(path, command)
    assert config.values == {
        "model": "a.edgevid", "give_up_after_s": 60, "max_batch": 4, "reconnect": False,
    }  # fmt: skip
    assert config.sources == (
        SiteSource(uri="a.mp4"),
        SiteSource(camera=0, priority=3),
        SiteSource(uri="rtsp://door/1"),
    )
    assert [s.place for s in config.sources] == ["a.mp4", 0, "rtsp://door/1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("smoth = 1", r"site\.toml: unknown key 'smoth'\. Known keys: .*smooth.*, sources"),
        ("source = 'a'", "unknown key 'source'"),
        ("config = 'b.toml'", "unknown key 'config'"),
        ("sources = 'a.mp4'", r"sources: must be a list \(got 'a\.mp4'\)"),
        ("[[sources]]\npriority = 2", r"sources\.0: a source needs either uri or camera"),
        ("[[sources]]\nuri = 'a'\ncamera = 1", "a source needs either uri or camera"),
        ("[[sources]]\nuri = 'a'\npriority = 0", r"sources\.0: priority: .* \(got 0\)"),
        ("[[sources]]\nurl = 'a'", r"sources\.0: unknown key 'url'"),
        ("sources = [3]", r"sources\.0: "),
        ("= 3", "is not a TOML file"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(tmp_path, text, said):
    with pytest.raises(SpecError, match=said):
        read_config(written(tmp_path, text), command)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SpecError, match="no such configuration file"):
        read_config(tmp_path / "none.toml", command)
