"""Tasks: count words, by documents and then by words."""

from __future__ import annotations

from typing import Any

EXPECTED = [("a", 3), ("b", 2), ("c", 4)]


def main(ray: Any) -> Any:
    documents = ["a b a", "b c", "a c c c"]

    @ray.remote(num_returns=2)
    def map_words(text):
        parts = ({}, {})
        for word in text.split():
            part = parts[word > "b"]
            part[word] = part.get(word, 0) + 1
        return parts

    @ray.remote
    def reduce_words(*parts):
        total = {}
        for part in parts:
            for word, count in part.items():
                total[word] = total.get(word, 0) + count
        return total

    mapped = [map_words.remote(text) for text in documents]
    reduced = ray.get([reduce_words.remote(*column) for column in zip(*mapped)])
    return sorted({**reduced[0], **reduced[1]}.items())
