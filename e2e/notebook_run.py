"""Executes the notebook as its reader does, on two days.

    notebook_run.py NOTEBOOK OUTPUT NIGHT

The cells before the heading "Tomorrow" run in one kernel, the others in a new one. In
between the address NIGHT is asked, which answers when the user has logged out and all
access tokens have expired. OUTPUT.ipynb and OUTPUT.html have the outputs.
"""

import os
import sys
import urllib.request
from pathlib import Path

import nbconvert
import nbformat
from nbclient import NotebookClient


def run(notebook, cells, directory):
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": directory}})
    client.km = client.create_kernel_manager()
    client.km.transport = "ipc"  # not by TCP, where others could listen
    with client.setup_kernel():
        for index, cell in cells:
            client.execute_cell(cell, index)


def main():
    source, output, night = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    notebook = nbformat.read(source, as_version=4)
    nbformat.validate(notebook)
    cells = list(enumerate(notebook.cells))
    tomorrow = next(i for i, cell in cells if cell.source.startswith("## Tomorrow"))
    run(notebook, cells[:tomorrow], ".")
    with urllib.request.urlopen(night, timeout=120):
        pass
    run(notebook, cells[tomorrow:], ".")
    nbformat.write(notebook, output + ".ipynb")
    # nbconvert looks for its templates below sys.prefix, and may be of another environment.
    # Set after the kernels, which are to be of this one.
    os.environ["JUPYTER_PATH"] = str(Path(nbconvert.__file__).parents[4] / "share" / "jupyter")
    Path(output + ".html").write_text(nbconvert.HTMLExporter().from_notebook_node(notebook)[0], "utf-8")


main()
