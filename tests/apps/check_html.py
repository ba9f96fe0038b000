"""Reads a page on stdin and fails unless it is whole, needs nothing but itself and runs no script."""
import json
import re
import sys
from html.parser import HTMLParser

VOID = {"meta", "wbr", "br", "hr", "img", "link", "input"}


class Checker(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.data, self.in_data = [], set(), "", False

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            assert name not in ("src", "srcset", "data", "action", "style") or (name == "style" and re.fullmatch(r"width:\d+%", value)), (tag, name, value)
            assert not name.startswith("on"), (tag, name)
            assert name not in ("href", "xlink:href") or value.startswith("#"), (tag, name, value)
            assert "url(" not in (value or ""), (tag, name, value)
            if name == "id":
                assert value not in self.ids, f"id {value} twice"
                self.ids.add(value)
        if tag == "script":
            assert dict(attributes).get("type") == "application/json", attributes
            self.in_data = True
        assert tag not in ("link", "iframe", "object", "embed", "base", "form", "image"), tag
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"
        self.in_data = False

    def handle_data(self, text):
        if self.in_data:
            self.data += text


page = sys.stdin.read()
assert len(page.encode()) < 1_000_000, len(page)
assert page.startswith("<!DOCTYPE html>")
assert "url(" not in page and "@import" not in page
checker = Checker()
checker.feed(page)
checker.close()
assert not checker.open, checker.open
for target in re.findall(r"href='#([^']*)'", page):
    assert target in checker.ids, target
assert isinstance(json.loads(checker.data), dict)
