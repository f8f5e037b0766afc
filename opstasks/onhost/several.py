"""Runs on a host: several programs in one Python, for the cost of one start.

The request: ``programs``, a list of pairs of a module and its request. It prints each
answer when that program ends, in order; a program that fails does not stop the next one.
"""

from importlib import import_module

from opstasks.onhost.protocol import Answer, Request, answer_to, send_answer


def main(request: Request) -> Answer:
    """Run each program; its own answer is empty."""
    for module, asked in request["programs"]:
        send_answer(answer_of(module, asked))
    return {}


def answer_of(module: str, request: Request) -> Answer:
    """The answer of one program, also when it cannot be imported."""
    return answer_to(lambda asked: import_module(module).main(asked), request)
