"""Reactions to comments."""

from ..call import Answer, Call
from ..errors import not_found
from ..paging import cut
from ..shapes import node, user
from ..state import GitHub, now
from .comments import found


def shape(call: Call, reaction: dict) -> dict:
    return {
        "id": reaction["id"],
        "node_id": node("REA", reaction["id"]),
        "user": user(call, reaction["login"]),
        "content": reaction["content"],
        "created_at": reaction["created_at"],
    }


def create(github: GitHub, call: Call, _) -> Answer:
    """The same reaction of the same person is there once."""
    comment, login, content = found(github, call)["id"], call.token.login, call.body["content"]
    for known in github.reactions.values():
        if (known["comment"], known["login"], known["content"]) == (comment, login, content):
            return Answer(200, shape(call, known))
    number = github.number("reaction")
    reaction = {"id": number, "comment": comment, "login": login, "content": content, "created_at": now()}
    github.reactions[number] = reaction
    return Answer(201, shape(call, reaction))


def list_reactions(github: GitHub, call: Call, _) -> Answer:
    comment, content = found(github, call)["id"], call.asked("content")
    fitting = [
        reaction
        for reaction in github.reactions.values()
        if reaction["comment"] == comment and content in (None, reaction["content"])
    ]
    page, headers = cut(call, fitting)
    return Answer(200, [shape(call, reaction) for reaction in page], headers)


def delete(github: GitHub, call: Call, _) -> Answer:
    reaction = github.reactions.get(call.parameters["reaction_id"])
    if reaction is None or reaction["comment"] != found(github, call)["id"]:
        raise not_found()
    del github.reactions[reaction["id"]]
    return Answer(204)


OPERATIONS = {
    "reactions/create-for-issue-comment": create,
    "reactions/list-for-issue-comment": list_reactions,
    "reactions/delete-for-issue-comment": delete,
}
