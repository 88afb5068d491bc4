"""What is there: the project's folder, and the machine that dari runs on."""

from dari.survey.dari_toml import read_project
from dari.survey.host import host_apt_sources, host_platform
from dari.survey.keys import APT_SOURCE_KEYS, KEYS
from dari.survey.parts import project_parts

__all__ = ["APT_SOURCE_KEYS", "KEYS", "host_apt_sources", "host_platform", "project_parts", "read_project"]
