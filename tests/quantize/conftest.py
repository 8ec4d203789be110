"""Videos for the tests of drawing."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_videos import make_video


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, frames in (("a.mp4", 50), ("b.mkv", 60), ("c.mp4", 40)):
        make_video(folder / name, frames)
    return folder
