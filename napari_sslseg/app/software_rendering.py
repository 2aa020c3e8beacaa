"""A guard against crashes of Mesa's software renderers, which remote desktops often draw with.

When layers are removed, vispy deletes their shader programs. Mesa's `llvmpipe` and `softpipe`
(22.3) then end the application with a segmentation fault when some layer that is left is drawn: in
napari 0.9.2, remove one of two labels layers, then the image. There the programs are kept instead,
some kilobytes a layer; everything else of a removed layer is deleted as ever.
"""

from __future__ import annotations

from typing import Any

_SOFTWARE = ("llvmpipe", "softpipe", "swrast")


def keep_shader_programs() -> None:
    """Have vispy keep shader programs where the drawing is done by software; once a process."""
    from vispy.gloo import glir

    if not hasattr(glir.GlirProgram.delete, "__wrapped__"):
        glir.GlirProgram.delete = _unless_software(glir.GlirProgram.delete)


def _unless_software(delete: Any) -> Any:
    from vispy.gloo import gl

    def delete_program(program: Any) -> None:
        # The context in which the program lives is current whenever vispy deletes something.
        renderer = str(gl.glGetParameter(gl.GL_RENDERER)).lower()
        if not any(name in renderer for name in _SOFTWARE):
            delete(program)

    delete_program.__wrapped__ = delete  # type: ignore[attr-defined]
    return delete_program
