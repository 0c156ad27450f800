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
from collectors.packets.machine import PARAMETERS, Code, target_machine, write_code

_TYPES = {
    "b": types.CPointer(types.uint8),  # type: ignore[no-untyped-call]  # numba is untyped
    "p": types.CPointer(types.int64),  # type: ignore[no-untyped-call]
    "h": types.CPointer(types.int32),  # type: ignore[no-untyped-call]
    "n": types.int64,
}


def compile_entries() -> Code:
    """Return the object code of all entry points, as one module."""
    whole = llvm.parse_assembly("")
    symbols = {}
    for name, function in ENTRIES.items():
        dispatcher = njit(nogil=True, error_model="numpy", boundscheck=False)(
            getattr(function, "py_func", function)
        )
        dispatcher.compile(types.int64(*(_TYPES[letter] for letter in PARAMETERS[name])))
        result = next(iter(dispatcher.overloads.values()))
        symbols[name] = result.fndesc.llvm_func_name  # type: ignore[attr-defined]  # made at run time
        module = _alone(result.library.get_llvm_str(), symbols[name])  # type: ignore[attr-defined]
        whole.link_in(module)
    unknown = [f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")]
    if unknown:
        raise RuntimeError(f"the kernel needs {', '.join(unknown)}")
    return Code(symbols, bytes(target_machine().emit_object(whole)))


def _alone(assembly: str, symbol: str) -> llvm.ModuleRef:
    """Return a module with one function and what it calls."""
    module = llvm.parse_assembly(assembly)
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    builder = llvm.create_pass_builder(target_machine(), llvm.PipelineTuningOptions(speed_level=3))
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    return module


def main() -> int:
    """Compile, write and return 0."""
    write_code(Path(sys.argv[1]), compile_entries())
    return 0


if __name__ == "__main__":
    sys.exit(main())
