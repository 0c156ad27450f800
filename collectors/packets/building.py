"""Compile the packet kernel to machine code: ``python -m collectors.packets.building FILE``.

Runs in its own process, so that the compiler's memory goes when it is done. The file holds relocatable object code of
each entry point (see ``collectors.packets.machine``). Of what numba makes, only the function itself is kept: the
wrappers around it call numba's runtime, which the loading process does not have.
"""

from __future__ import annotations

import sys
from pathlib import Path

import llvmlite.binding as llvm
from numba import njit, types

from collectors.packets.kernel import ENTRIES
from collectors.packets.machine import PARAMETERS, target_machine, write_code

_TYPES = {
    "b": types.CPointer(types.uint8),  # type: ignore[no-untyped-call]  # numba is untyped
    "p": types.CPointer(types.int64),  # type: ignore[no-untyped-call]
    "h": types.CPointer(types.int32),  # type: ignore[no-untyped-call]
    "n": types.int64,
}


def compile_entries() -> dict[str, tuple[str, bytes]]:
    """Return for each entry point the symbol and the object code that defines it."""
    compiled = {}
    for name, function in ENTRIES.items():
        dispatcher = njit(nogil=True, error_model="numpy", boundscheck=False)(
            getattr(function, "py_func", function)
        )
        dispatcher.compile(types.int64(*(_TYPES[letter] for letter in PARAMETERS[name])))
        result = next(iter(dispatcher.overloads.values()))
        symbol = result.fndesc.llvm_func_name  # type: ignore[attr-defined]  # made at run time
        compiled[name] = (symbol, _object_code(result.library.get_llvm_str(), symbol))  # type: ignore[attr-defined]
    return compiled


def _object_code(assembly: str, symbol: str) -> bytes:
    """Return the object code of one function of a module and of what it calls."""
    module = llvm.parse_assembly(assembly)
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    machine = target_machine()
    builder = llvm.create_pass_builder(machine, llvm.PipelineTuningOptions(speed_level=3))
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    unknown = [f.name for f in module.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if unknown:
        raise RuntimeError(f"{symbol} needs {', '.join(unknown)}")
    return bytes(machine.emit_object(module))


def main() -> int:
    """Compile, write and return 0."""
    write_code(Path(sys.argv[1]), compile_entries())
    return 0


if __name__ == "__main__":
    sys.exit(main())
