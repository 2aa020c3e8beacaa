"""A guard against crashes of Mesa's software renderers, which remote desktops often draw with.

When layers are removed, vispy deletes their shader programs. Mesa's `llvmpipe` and `softpipe`
(22.3) then end the application with a segmentation fault when some layer that is left is drawn: in
napari 0.9.2, remove one of two labels layers, then the image. There the programs are kept instead,
and serve the next layers that are drawn by the same shaders: each holds the machine code that Mesa
made of it, about a megabyte. Everything else of a removed layer is deleted as ever.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

_SOFTWARE = ("llvmpipe", "softpipe", "swrast")


def keep_shader_programs() -> None:
    """Have vispy keep shader programs where the drawing is done by software; once a process."""
    from vispy.gloo import glir

    if not hasattr(glir.GlirProgram.delete, "__wrapped__"):
        spare = _SparePrograms()
        program, shader = glir.GlirProgram, glir.GlirShader
        program.delete = _wrapped(program.delete, spare.keep)
        program.link_program = _wrapped(program.link_program, spare.link)
        shader.set_data = _wrapped(shader.set_data, spare.note_source)


def _wrapped(plain: Any, instead: Callable[..., None]) -> Any:
    """Return a method that has another function called in its place, with the plain one first."""

    def method(self: Any, *args: Any) -> None:
        instead(plain, self, *args)

    method.__wrapped__ = plain  # type: ignore[attr-defined]
    return method


class _SparePrograms:
    """The programs of removed layers, by the shaders that they were made of, in each context."""

    def __init__(self) -> None:
        # vispy's parser of drawing commands stands for the context: programs end with it.
        self._kept: WeakKeyDictionary[Any, dict[Any, list[int]]] = WeakKeyDictionary()

    def note_source(self, set_data: Any, shader: Any, offset: int, code: str) -> None:
        """Compile a shader, whose source vispy forgets."""
        shader.sslseg_source = (shader._target, code)
        set_data(shader, offset, code)

    def link(self, link_program: Any, program: Any) -> None:
        """Take a program that was made of the same shaders, else make one of them."""
        before = getattr(program, "sslseg_sources", None)
        sources = tuple(getattr(s, "sslseg_source", None) for s in program._attached_shaders)
        kept = self._kept.get(program._parser, {})
        if kept.get(sources) and (before is not None or not program._linked):
            own, program._handle = program._handle, kept[sources].pop()
            _begin_anew(program, own)
            if before is None:
                _delete_unused(own)
            else:  # it was drawn otherwise until now, with areas in place of outlines say
                kept[before].append(own)
        else:
            link_program(program)
        program.sslseg_sources = sources

    def keep(self, delete: Any, program: Any) -> None:
        """Keep a program where the drawing is done by software, else delete it."""
        sources = getattr(program, "sslseg_sources", None)
        if not _drawn_by_software():
            delete(program)
        elif sources is not None and None not in sources:
            kept = self._kept.setdefault(program._parser, defaultdict(list))
            kept[sources].append(program._handle)


def _begin_anew(program: Any, own: int) -> None:
    """Have vispy take a program for one that it has linked now, of which nothing is set yet."""
    from vispy.gloo import gl

    for shader in program._attached_shaders:
        gl.glDetachShader(own, shader.handle)
    program._attached_shaders = []
    program._unset_variables = program._get_active_attributes_and_uniforms()
    program._handles, program._known_invalid = {}, set()
    program._attributes, program._samplers = {}, {}
    program._linked, program._validated = True, False


def _delete_unused(handle: int) -> None:
    """Delete a program that was never linked, and so is of no code."""
    from vispy.gloo import gl

    gl.glDeleteProgram(handle)


def _drawn_by_software() -> bool:
    from vispy.gloo import gl

    # The context in which a program lives is current whenever vispy deletes something.
    renderer = str(gl.glGetParameter(gl.GL_RENDERER)).lower()
    return any(name in renderer for name in _SOFTWARE)
