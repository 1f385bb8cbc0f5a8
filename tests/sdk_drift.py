"""Prints what the providers' newest SDKs define and the tables in docs/dialects lack, and what only the tables have.

Fetches the packages into a temporary folder and reads their types without importing them. Not a part of the tests: it
needs the network, and its result changes without a change here.
"""

import ast
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.dialect_tables import rows

_PACKAGES = ("openai", "anthropic", "google-genai", "ollama")
Names = set[str]


class Types:
    """The type definitions of the packages in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def union(self, path: str, alias: str, of: str = "type") -> Names:
        """The values that a field of the members of a union has: what tells the members apart."""
        return {word for file, name in self._members(path, alias) for word in self.words(file, f"{name}.{of}")}

    def words(self, path: str, name: str) -> Names:
        """The strings of the Literal that an alias, or a class's field (`Class.field`), stands for."""
        return {
            each.value
            for node in ast.walk(self._definition(path, name))
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal")
            for each in ast.walk(node.slice)
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        }

    def fields(self, path: str, name: str) -> Names:
        """The fields of a class, and those of the classes of the same file from which it inherits."""
        found: Names = set()
        definition = self._definition(path, name)
        assert isinstance(definition, ast.ClassDef), f"{name} in {path} is no class"
        for base in definition.bases:
            if any(isinstance(node, ast.ClassDef) and node.name == ast.unparse(base) for node in self._tree(path).body):
                found |= self.fields(path, ast.unparse(base))
        return found | {
            node.target.id
            for node in definition.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id[0] != "_"
        }

    def members(self, path: str, name: str) -> Names:
        """The members of an enum."""
        definition = self._definition(path, name)
        assert isinstance(definition, ast.ClassDef), f"{name} in {path} is no enum"
        return {ast.unparse(node.targets[0]) for node in definition.body if isinstance(node, ast.Assign)}

    def _tree(self, path: str) -> ast.Module:
        return ast.parse((self._root / path).read_text("utf-8"))

    def _definition(self, path: str, name: str) -> ast.AST:
        """Where a name is defined; a field's name stands after its class, which may have it from another."""
        first, _, field = name.partition(".")
        for node in self._tree(path).body:
            if isinstance(node, ast.ClassDef) and node.name == first:
                return self._field(path, node, field) if field else node
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == first and node.value:
                return node.value
        raise LookupError(f"{path} defines no {name}: the SDK has changed its form.")

    def _field(self, path: str, owner: ast.ClassDef, field: str) -> ast.AST:
        for node in owner.body:
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == field:
                return node
        for base in map(ast.unparse, owner.bases):
            if base in (origins := self._origins(path)):
                return self._definition(origins[base], f"{base}.{field}")
        raise LookupError(f"{path} defines no {owner.name}.{field}: the SDK has changed its form.")

    def _origins(self, path: str) -> dict[str, str]:
        """The file from which each imported name comes."""
        return {
            name.asname or name.name: self._file(path, node)
            for node in self._tree(path).body
            if isinstance(node, ast.ImportFrom) and node.level
            for name in node.names
        }

    def _members(self, path: str, alias: str) -> Iterator[tuple[str, str]]:
        """The classes of a union, each with its file; unions in it are taken apart."""
        origins = self._origins(path)
        own = {node.name for node in self._tree(path).body if isinstance(node, ast.ClassDef)}
        for node in ast.walk(self._definition(path, alias)):
            if not isinstance(node, ast.Name) or node.id == "UnionDiscriminator":
                continue
            if node.id in own:
                yield path, node.id
            elif (file := origins.get(node.id)) and (self._root / file).exists() and not node.id.startswith("Property"):
                if isinstance(self._definition(file, node.id), ast.ClassDef):
                    yield file, node.id
                else:
                    yield from self._members(file, node.id)

    @staticmethod
    def _file(path: str, node: ast.ImportFrom) -> str:
        folder = Path(path).parents[node.level - 1]
        return str(folder / f"{(node.module or '__init__').replace('.', '/')}.py")


def _camel(names: Names) -> Names:
    return {re.sub(r"_(\w)", lambda found: found[1].upper(), name) for name in names}


_OPENAI, _ANTHROPIC, _GOOGLE, _OLLAMA = "openai/types/", "anthropic/types/", "google/genai/types.py", "ollama/_types.py"
_RESPONSES, _BETA = _OPENAI + "responses/", _ANTHROPIC + "beta/"
_CHUNK, _COUNTS = _OPENAI + "chat/chat_completion_chunk.py", _OPENAI + "completion_usage.py"
_USAGE: Callable[[Types], Names] = lambda types: (  # noqa: E731 - a row of the tables below, used twice
    types.fields(_COUNTS, "CompletionUsage")
    | types.fields(_COUNTS, "CompletionTokensDetails")
    | types.fields(_COUNTS, "PromptTokensDetails")
)
# For each dialect, the sections of its page, and where its SDK defines their rows.
_SECTIONS: dict[str, dict[str, Callable[[Types], Names]]] = {
    "openai_chat": {
        "Chunks": lambda types: types.fields(_CHUNK, "ChatCompletionChunk"),
        "Choices": lambda types: types.fields(_CHUNK, "Choice"),
        "Deltas": lambda types: types.fields(_CHUNK, "ChoiceDelta"),
        "Finish reasons": lambda types: types.words(_CHUNK, "Choice.finish_reason"),
        "Usage": _USAGE,
    },
    "openai_completions": {
        "Chunks": lambda types: types.fields(_OPENAI + "completion.py", "Completion"),
        "Choices": lambda types: types.fields(_OPENAI + "completion_choice.py", "CompletionChoice"),
        "Finish reasons": lambda types: types.words(_OPENAI + "completion_choice.py", "CompletionChoice.finish_reason"),
        "Usage": _USAGE,
    },
    "openai_responses": {
        "Events": lambda types: types.union(_RESPONSES + "response_stream_event.py", "ResponseStreamEvent"),
        "Items": lambda types: types.union(_RESPONSES + "response_output_item.py", "ResponseOutputItem"),
        "Parts": lambda types: (
            types.union(_RESPONSES + "response_output_message.py", "Content")
            | types.words(_RESPONSES + "response_reasoning_item.py", "Content.type")
            | types.words(_RESPONSES + "response_reasoning_item.py", "Summary.type")
        ),
        "Annotations": lambda types: types.union(_RESPONSES + "response_output_text.py", "Annotation"),
        "Statuses": lambda types: types.words(_RESPONSES + "response_status.py", "ResponseStatus"),
        "Incomplete reasons": lambda types: types.words(_RESPONSES + "response.py", "IncompleteDetails.reason"),
        "Errors": lambda types: types.words(_RESPONSES + "response_error.py", "ResponseError.code"),
        "Usage": lambda types: (
            types.fields(_RESPONSES + "response_usage.py", "ResponseUsage")
            | types.fields(_RESPONSES + "response_usage.py", "InputTokensDetails")
            | types.fields(_RESPONSES + "response_usage.py", "OutputTokensDetails")
        ),
    },
    "anthropic": {
        "Events": lambda types: types.union(_BETA + "beta_raw_message_stream_event.py", "BetaRawMessageStreamEvent"),
        "Blocks": lambda types: types.union(_BETA + "beta_content_block.py", "BetaContentBlock"),
        "Deltas": lambda types: types.union(_BETA + "beta_raw_content_block_delta.py", "BetaRawContentBlockDelta"),
        "Citations": lambda types: types.union(_ANTHROPIC + "text_citation.py", "TextCitation"),
        "Stop reasons": lambda types: types.words(_BETA + "beta_stop_reason.py", "BetaStopReason"),
        "Errors": lambda types: types.union(_ANTHROPIC + "shared/error_object.py", "ErrorObject"),
        "Usage": lambda types: (
            types.fields(_ANTHROPIC + "usage.py", "Usage")
            | types.fields(_ANTHROPIC + "message_delta_usage.py", "MessageDeltaUsage")
            | types.fields(_ANTHROPIC + "output_tokens_details.py", "OutputTokensDetails")
        ),
    },
    "gemini": {
        "Responses": lambda types: (
            _camel(types.fields(_GOOGLE, "GenerateContentResponse"))
            - {"sdkHttpResponse", "automaticFunctionCallingHistory", "parsed"}  # which the SDK adds itself
        ),
        "Candidates": lambda types: _camel(types.fields(_GOOGLE, "Candidate")),
        "Parts": lambda types: _camel(types.fields(_GOOGLE, "Part")),
        "Finish reasons": lambda types: types.members(_GOOGLE, "FinishReason"),
        "Blocked prompts": lambda types: types.members(_GOOGLE, "BlockedReason"),
        "Usage": lambda types: _camel(types.fields(_GOOGLE, "GenerateContentResponseUsageMetadata")),
    },
    "ollama": {
        "Lines": lambda types: types.fields(_OLLAMA, "ChatResponse"),
        "Messages": lambda types: types.fields(_OLLAMA, "Message"),
    },
}


def fetched(folder: Path) -> list[str]:
    """The newest packages, unpacked into a folder; their names with their versions."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    subprocess.run([*pip, *_PACKAGES], check=True)
    wheels = sorted(folder.glob("*.whl"))
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return ["-".join(wheel.name.split("-")[:2]) for wheel in wheels]


def drift(types: Types) -> Iterator[str]:
    """A line for each name that only the SDK or only the tables have."""
    for dialect, sections in _SECTIONS.items():
        told = rows(dialect)
        for section, defined in sections.items():
            known, names = {row.name for row in told if row.section == section}, defined(types)
            yield from (f"{dialect}: {section}: {name} is not in the table" for name in sorted(names - known))
            yield from (f"{dialect}: {section}: {name} is not in the SDK" for name in sorted(known - names))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(*fetched(folder))
        lines = list(drift(Types(folder)))
        print(*lines or ["The tables have all that these define."], sep="\n")


if __name__ == "__main__":
    main()
