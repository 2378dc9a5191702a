"""The words for Go developers in docs/clients.md: what buf hands to Go's generators."""

import shutil
import sys
from pathlib import Path
from typing import Final

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest

from tests.languages.examples import blocks
from tests.languages.programs import ROOT, printed

_PLUGIN: Final = f"""#!{sys.executable}
import pathlib, sys
from google.protobuf.compiler.plugin_pb2 import CodeGeneratorResponse

pathlib.Path(__file__).with_suffix(".request").write_bytes(sys.stdin.buffer.read())
sys.stdout.buffer.write(CodeGeneratorResponse().SerializeToString())
"""


def test_the_generators_get_a_go_package(tmp_path: Path) -> None:
    """With the page's buf.gen.yaml both are asked for the interface alone, as a package of the reader's module."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    (configuration,) = blocks("yaml")
    (tmp_path / "buf.gen.yaml").write_text(configuration)
    plugins = [tmp_path / "bin" / name for name in ("protoc-gen-go", "protoc-gen-go-grpc")]
    for plugin in plugins:
        plugin.parent.mkdir(exist_ok=True)
        plugin.write_text(_PLUGIN)
        plugin.chmod(0o755)
    printed("buf", "generate", cwd=tmp_path, path=tmp_path / "bin")
    for plugin in plugins:
        request = CodeGeneratorRequest.FromString(plugin.with_suffix(".request").read_bytes())
        assert list(request.file_to_generate) == ["cnnsvc/pb/classifier.proto"]
        assert request.parameter == "paths=source_relative"
        assert [file.options.go_package for file in request.proto_file] == ["example.com/your/module/cnnsvcpb"]
