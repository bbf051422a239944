"""The shapes of all templates, one each; and those of calls that inherit a priority."""

from __future__ import annotations

from typing import final

from ..wire.messages import TASK, Template
from .calls import Call, Shape
from .classes import Classes
from .groups import is_keeper
from .workers import Worker


@final
class Shapes:
    """What is known of templates."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._shapes: dict[Template, Shape] = {}
        self._raised: dict[tuple[Shape, int], Shape] = {}

    def of(self, template: Template) -> Shape:
        """Return the one shape of a template; of a group a new one, which ends with it."""
        if is_keeper(template):
            return Shape(0, template, self._classes.of(template))
        shape = self._shapes.get(template)
        if shape is None:
            klass = self._classes.of(template)
            shape = self._shapes[template] = Shape(len(self._shapes) + 1, template, klass)
        return shape

    def inherit(self, call: Call, caller: Worker | None) -> None:
        """Give a task at least the priority of one above the usual that makes it: it may wait."""
        maker = None if caller is None else caller.inflight.get(call.parent)
        if maker is None or call.shape.template.kind != TASK:
            return
        priority: int = maker.shape.klass.priority
        if priority > max(0, call.shape.klass.priority):
            call.shape = self._raise(call.shape, priority)

    def _raise(self, shape: Shape, priority: int) -> Shape:
        raised = self._raised.get((shape, priority))
        if raised is None:
            klass = self._classes.of(shape.template._replace(priority=priority))
            # The number is the one by which workers know the template, which stays the same.
            raised = Shape(shape.number, shape.template, klass)
            self._raised[shape, priority] = raised
        return raised
