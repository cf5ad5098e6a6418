"""The widgets in JupyterLab in Chromium: seen, worked by the keyboard alone, read out, reopened."""

import json
from pathlib import Path

import demo
import pytest
import shop
from axe_playwright_python.sync_playwright import Axe
from demo import Way
from lab import COLOURS, OVERLAPS, THEMES, contrast, find_chromium

import eksnet
from eksnet.widgets import CorednsMemory, CorednsReplicas, SearchOrder

pytestmark = pytest.mark.browser

SERVICE = "my-service.app-ns.svc.cluster.local"
START = {"name": "my-service.app-ns", "namespace": "ops-ns", "exists": SERVICE}
ORDER = f"""
import demo
from eksnet import widgets
order = widgets.search_order("my-service.app-ns", namespace="ops-ns", exists=["{SERVICE}"],
                             observed=demo.witness)
order
"""
TWIN = "print(order.text)"
WAY = "from demo import Way\nwidgets.show(Way())"
PACKET = "import shop\nshop.view()"
MEMORY = "import demo\nwidgets.coredns_memory(measured=demo.MEASURED)"
REPLICAS = "widgets.coredns_replicas()"
BUTTONS = ["Observe"]


def predicted(**settings):
    """A model in this process: what the widget has to show with these settings."""
    return SearchOrder(**START | settings)


@pytest.fixture(scope="module")
def notebook(lab):
    """A notebook with the widgets and a twin."""
    lab.open("demo", ORDER, TWIN, WAY, PACKET, MEMORY, REPLICAS)
    return lab


@pytest.fixture
def order(notebook):
    """The widget search order as it begins."""
    notebook.run()
    widget = notebook.widget()
    widget.wait_for(predicted())
    return widget


@pytest.fixture
def way(notebook):
    """A stepper as it begins."""
    notebook.run()
    widget = notebook.widget(1)
    widget.wait_for(Way())
    return widget


def test_the_keyboard_reaches_every_control_in_order_and_leaves_again(notebook, order):
    labels = [*SearchOrder().settings.to_frame()["setting"], *BUTTONS]
    notebook.focus_first_cell()
    reached = []
    for _ in range(len(labels) + 2):
        notebook.page.keyboard.press("Tab")
        reached.append(order.focused())
    # JupyterLab puts the toolbar of the active cell before it, when it has drawn one.
    assert reached in ([*labels, "", ""], ["", *labels, ""])
    # The way back leads over the cell that has become the active one, where it has a focus.
    back = []
    for _ in range(len(labels) + 3):
        notebook.page.keyboard.press("Shift+Tab")
        back.append(order.focused())
    assert [label for label in back if label] == labels[::-1]


@pytest.mark.parametrize(
    ("label", "keys", "settings"),
    [
        ("name", ["Control+a", *"a.b.c"], {"name": "a.b.c"}),
        ("name", ["End", *"x"], {"name": "my-service.app-nsx"}),
        ("namespace", ["Control+a", *"dd"], {"namespace": "dd"}),
        ("namespace", ["Control+a", *"other", "Enter"], {"namespace": "other"}),
        ("region", ["Control+a", *"us-east-1"], {"region": "us-east-1"}),
        ("dnsPolicy", ["ArrowDown"], {"policy": "ClusterFirstWithHostNet"}),
        ("dnsPolicy", ["End"], {"policy": "None"}),
        ("ndots", ["ArrowDown", "ArrowDown"], {"ndots": 1}),
        ("resolver", ["b"], {"profile": "busybox"}),
        ("resolver", ["End", "ArrowUp"], {"profile": "go"}),
        ("names with an address", ["Control+a", "Delete"], {"exists": ""}),
    ],
)
def test_a_control_worked_by_keys_changes_the_table_and_says_so(
    notebook, order, label, keys, settings
):
    line = order.status.element_handle()
    before = line.text_content()
    notebook.focus_first_cell()
    order.control(label).focus()
    for key in keys:
        notebook.page.keyboard.press(key)
    order.wait_for(predicted(**settings))
    # The same element with another text: that is what a screen reader reads out.
    assert line.evaluate("line => line.isConnected && line.getAttribute('role')") == "status"
    assert line.text_content() != before
    # JupyterLab took none of the keys for itself.
    assert notebook.active_cell == 0


def test_what_is_typed_counts_at_once_and_is_read_out_when_the_typing_rests(notebook, order):
    # What the status line says, each time with how long the keys had rested, in milliseconds.
    said = order.status.evaluate_handle("""line => {
        const said = [];
        let typed = performance.now();
        document.addEventListener("input", () => { typed = performance.now(); }, true);
        new MutationObserver(() => said.push([line.textContent, performance.now() - typed]))
            .observe(line, { childList: true, characterData: true, subtree: true });
        return said;
    }""")
    order.control("name").focus()
    notebook.page.keyboard.press("Control+a")
    model = predicted(name="one.two.three.four.five.six.")
    # The table follows each letter, the status line waits.
    notebook.page.keyboard.type(model.name)
    order.wait_for(model)
    texts, rests = zip(*said.json_value(), strict=True)
    assert texts[-1] == f"{model.shown().sentence} {model.spoken}"
    # On a busy computer letters can come so far apart that the typing rests between them.
    assert min(rests) >= 600
    assert order.focused() == "name"
    assert order.control("name").input_value() == model.name


@pytest.mark.parametrize("label", ["name", "region", "ndots", "names with an address", "Observe"])
@pytest.mark.parametrize(("key", "cell"), [("Escape", 0), ("Shift+Enter", 1)])
def test_escape_and_shift_enter_leave_a_widget_as_they_leave_a_cell(
    notebook, order, label, key, cell
):
    ran = notebook.page.locator(".jp-InputPrompt").all_text_contents()
    order.root.evaluate("widget => widget.dataset.here = 'yes'")
    order.control(label).focus()
    notebook.page.keyboard.press(key)
    place = """() => {
        const { content } = jupyterapp.shell.currentWidget;
        const at = content.widgets.findIndex(cell => cell.node === document.activeElement);
        return [at, content.activeCellIndex, content.mode];
    }"""
    assert notebook.page.evaluate(place) == [cell, cell, "command"]
    # From there on the keys are the notebook's.
    notebook.page.keyboard.press("ArrowDown")
    assert notebook.active_cell == cell + 1
    # Nothing was run, and the widget is the same as before.
    assert notebook.page.locator(".jp-InputPrompt").all_text_contents() == ran
    assert order.root.get_attribute("data-here") == "yes"


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_button_works_by_keys(notebook, order, key):
    notebook.focus_first_cell()
    order.control("Observe").focus()
    notebook.page.keyboard.press(key)
    model = predicted()
    model.remember(model.predicted)
    order.wait_for(model)
    assert order.focused() == "Observe"


@pytest.mark.parametrize("settings", [{"name": "otherwise"}, {"name": "unseen"}])
def test_what_was_observed_otherwise_or_not_at_all_is_said(notebook, order, settings):
    order.control("name").fill(settings["name"])
    order.control("name").press("Enter")
    order.wait_for(predicted(**settings))
    order.control("Observe").press("Enter")
    model = predicted(witness=demo.witness, **settings)
    model.act("look")
    assert "The observation differs" in model.shown().sentence or model.note
    order.wait_for(model)


def test_the_twin_prints_what_the_widget_shows(notebook, order):
    order.control("resolver").select_option("musl")
    order.wait_for(predicted(profile="musl"))
    notebook.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.command("notebook:run-cell")
    assert notebook.output(1) == predicted(profile="musl").text
    values = {label: order.control(label) for label in SearchOrder().settings.to_frame()["setting"]}
    for label, control in values.items():
        shown = control.evaluate("c => (c.selectedOptions?.[0]?.text ?? c.value)")
        line = next(x for x in notebook.output(1).splitlines() if x.startswith(f"{label}  "))
        assert line.removeprefix(label).strip() == shown.replace("\xa0", " ")


def test_a_screen_reader_finds_a_status_that_waits_its_turn(notebook, order):
    # Each draws its status by itself, and is waited for.
    notebook.widget(1)
    notebook.widget(2)
    session = notebook.page.context.new_cdp_session(notebook.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    lines = [node for node in nodes if node.get("role", {}).get("value") == "status"]
    lives = [{p["name"]: p["value"].get("value") for p in node["properties"]} for node in lines]
    ours = [live for live in lives if live.get("live") == "polite" and live.get("atomic")]
    assert len(ours) >= 2


@pytest.mark.parametrize("theme", list(THEMES))
def test_axe_finds_nothing_and_colours_have_contrast(notebook, order, theme):
    notebook.theme(theme)
    order.control("Observe").press("Enter")
    model = predicted()
    model.remember(model.predicted)
    order.wait_for(model)
    order.control("ndots").focus()
    found = Axe().run(notebook.page, context=".eksnet-widget", options={})
    assert found.violations_count == 0, found.generate_report()
    assert found.response["passes"]
    unsure = [rule["id"] for rule in found.response["incomplete"]]
    assert "color-contrast" not in unsure
    for index in range(5):
        colours = notebook.widget(index).root.evaluate(COLOURS)
        assert len(colours) > 10
        texts = {c["what"]: contrast(c["text"], c["ground"]) for c in colours}
        assert {what: ratio for what, ratio in texts.items() if ratio < 4.5} == {}
        borders = {c["what"]: contrast(*c["border"]) for c in colours if c["border"]}
        assert {what: ratio for what, ratio in borders.items() if ratio < 3} == {}


@pytest.mark.parametrize("percent", [200, 300])
@pytest.mark.parametrize("index", [0, 2, 3, 4])
def test_zoomed_nothing_sticks_out_or_stands_on_something_else(notebook, order, index, percent):
    notebook.zoom(percent)
    try:
        widget = notebook.widget(index)
        drawings = widget.root.locator("svg[role=img]")
        drawings.first.wait_for()
        assert widget.sticks_out() == []
        assert widget.root.evaluate(OVERLAPS) == []
    finally:
        notebook.zoom(100)


def test_a_way_is_walked_by_keys_with_the_focus_kept(notebook, way):
    way.control("Forward").focus()
    for step in (1, 2, 2):
        notebook.page.keyboard.press("Enter")
        way.wait_for(Way(step=step))
    notebook.page.keyboard.press("Shift+Tab")
    notebook.page.keyboard.press("Space")
    way.wait_for(Way(step=1))
    assert way.focused() == "Back"


def test_a_packet_is_followed_by_keys_to_its_end(notebook):
    notebook.run()
    packet, model = notebook.widget(2), shop.stepper()
    packet.wait_for(model)
    packet.control("Forward").focus()
    for _ in range(model.steps - 1):
        notebook.page.keyboard.press("Enter")
        model.forward()
        packet.wait_for(model)
    assert "connection tracking" in str(packet.parts())
    notebook.page.keyboard.press("Tab")
    notebook.page.keyboard.press("Space")
    model.choose_again()
    packet.wait_for(model)
    assert packet.focused() == "Next endpoint"


def test_a_packet_is_followed_in_the_other_mode_by_the_keyboard_alone(notebook):
    notebook.run()
    packet, model = notebook.widget(2), shop.stepper()
    packet.wait_for(model)
    press = notebook.page.keyboard.press
    packet.control("Service").focus()
    reached = [packet.focused()]
    for _ in range(7):
        press("Tab")
        reached.append(packet.focused())
        if reached[-1] == "client":
            press("End")
            model.client = "outside 203.0.113.9"
        if reached[-1] == "mode":
            press("ArrowDown")
            model.mode = "nftables"
        if reached[-1] == "every rule":
            press("Space")
            model.passed = True
        if reached[-1] == "Forward":
            press("Enter")
            model.forward()
        packet.wait_for(model)
    labels = [*model.settings.to_frame()["setting"], *model.actions.values()]
    assert reached == labels


def test_another_client_and_mode_begin_the_way_again(notebook):
    notebook.run()
    packet, model = notebook.widget(2), shop.stepper()
    packet.wait_for(model)
    packet.control("Forward").press("Enter")
    for label, name, value in (
        ("client", "client", "outside 203.0.113.9"),
        ("mode", "mode", "nftables"),
    ):
        packet.control(label).select_option(value)
        setattr(model, name, value)
        packet.wait_for(model)
    packet.control("every rule").press("Space")
    model.passed = True
    packet.wait_for(model)


def test_coredns_memory_by_the_keyboard_alone(notebook):
    notebook.run()
    widget, model = notebook.widget(3), CorednsMemory(measured=demo.MEASURED)
    widget.wait_for(model)
    press = notebook.page.keyboard.press
    widget.control("pods").focus()
    reached = [widget.focused()]
    press("Control+a")
    notebook.page.keyboard.type("60000")
    press("Tab")
    reached.append(widget.focused())
    press("Tab")
    reached.append(widget.focused())
    model.pods = 60_000
    widget.wait_for(model)
    press("Space")
    model.autopath = True
    widget.wait_for(model)
    assert reached == list(model.settings.to_frame()["setting"])


def test_coredns_replicas_by_the_keyboard_alone(notebook):
    notebook.run()
    widget, model = notebook.widget(4), CorednsReplicas()
    widget.wait_for(model)
    press = notebook.page.keyboard.press
    reached = []
    for name, value in (("nodes", 100), ("cores", 2), ("minimum", 4), ("maximum", 5)):
        if not reached:
            widget.control("nodes").focus()
        reached.append(widget.focused())
        press("Control+a")
        notebook.page.keyboard.type(str(value))
        press("Tab")
        setattr(model, name, value)
        widget.wait_for(model)
    assert reached == list(model.settings.to_frame()["setting"])
    # What excludes each other is said in words.
    widget.control("minReplicas").fill("9")
    widget.control("minReplicas").press("Enter")
    model.minimum = 9
    assert "maxReplicas is 5" in model.shown().sentence
    widget.wait_for(model)


def test_after_restart_and_run_all_it_works(notebook, order):
    order.root.evaluate("widget => widget.dataset.old = 'yes'")
    notebook.confirm("notebook:restart-run-all")
    notebook.page.locator(".eksnet-widget[data-old]").wait_for(state="detached")
    again = notebook.widget()
    again.control("name").fill("x")
    again.control("name").press("Enter")
    again.wait_for(predicted(name="x"))


def test_closed_and_reopened_it_still_works(notebook, order):
    order.control("resolver").select_option("busybox")
    order.wait_for(predicted(profile="busybox"))
    notebook.close()
    notebook.reopen("demo")
    again = notebook.widget()
    again.wait_for(predicted(profile="busybox"))
    again.control("resolver").select_option("go")
    again.wait_for(predicted(profile="go"))
    assert again.root.locator(".eksnet-restarted").is_hidden()


def test_with_a_kernel_that_does_not_know_it_it_says_so_and_reopened_its_twin_remains(
    notebook, order
):
    order.control("resolver").select_option("busybox")
    order.wait_for(predicted(profile="busybox"))
    notebook.confirm("notebook:restart-kernel")
    order.root.get_by_text("The kernel was restarted").wait_for()
    order.wait_for(predicted(profile="busybox"))
    notebook.close()
    notebook.reopen("demo")
    notebook.page.get_by_text("Error displaying widget: model not found").first.wait_for()
    assert notebook.output(1) == predicted().text
    notebook.run()
    notebook.widget().wait_for(predicted())
    assert notebook.widget().root.get_by_text("The kernel was restarted").is_hidden()


def test_nobody_is_asked_about_news(notebook, order):
    overrides = Path(eksnet.__file__).with_name("lab_settings") / "overrides.json"
    settings = json.loads(overrides.read_text())
    assert settings["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    assert notebook.page.get_by_text("Jupyter news").count() == 0
    assert notebook.page.locator(".jp-Dialog").count() == 0


def test_without_chromium_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.fail.Exception, match="make test"):
        find_chromium()
