"""What is published: its files, its types, and that a server may have it."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

from tests.package.site import NAME, ROOT, Shop, npm

TYPES = f"""
import type {{ ConsentService, ConsentServiceEvents, LoadOptions }} from "{NAME}";
import type {{ Configuration, ConsentCore, CoreOptions }} from "{NAME}/core";
import {{ load, open, push, withdraw }} from "{NAME}";
import {{ createConsent }} from "{NAME}/core";
import type {{ Circumstances, Edge, Verdict }} from "{NAME}/edge";
import {{ allows, createEdge, keepSeconds, statusListUri, verify }} from "{NAME}/edge";
import * as react from "{NAME}/react";
import * as svelte from "{NAME}/svelte";
import * as vue from "{NAME}/vue";
import {{ createElement }} from "react";
import {{ mount }} from "svelte";
import {{ h }} from "vue";

const options: LoadOptions = {{ service: "https://consent.example.com", site: "SITE_KEY" }};
const coreOptions: CoreOptions = {{ ...options, language: "sw", debug: true, open() {{}} }};
const core: ConsentCore = await createConsent(coreOptions);
const configuration: Configuration = core.configuration;
export const shown: string[] = [
  configuration.texts.accept_all,
  ...configuration.purposes.optional.map(({{ key }}) => key),
];
export const recorded: boolean | void = await core.decide({{}}, "accept_all", "banner");
if (core.isDue()) core.postpone();
// @ts-expect-error - there is no such text
configuration.texts.nothing;
const service: ConsentService = await load(options);
const stop: () => void = service.on("change", ({{ choices }}) => choices["analytics"]);
const event: ConsentServiceEvents["decision"]["decisions"][string]["allow"] = false;
push(["analytics", ({{ url, referrer, title, time }}) => [url, referrer, title, time]]);
window.consentService.allows("analytics");
export const results = [stop, event, open(), withdraw()];
export const allowed: boolean[] = [
  react.useConsent("analytics"),
  svelte.useConsent("analytics").current,
  vue.useConsent(() => "analytics").value,
];
createElement(react.Consent, {{ purpose: "analytics", fallback: "no" }});
h(vue.Consent, {{ purpose: "analytics" }}, {{ fallback: () => "no" }});
mount(svelte.Consent, {{ target: document.body, props: {{ purpose: "analytics" }} }});
const edge: Edge = createEdge({{ service: "https://consent.example.com", site: "SITE_KEY" }});
const verdict: Verdict = await edge.decide(null, {{ gpc: true }});
export const decided: boolean = allows(verdict, "analytics");
export const circumstances: Circumstances = {{
  issuer: "https://consent.example.com",
  audience: "SITE_KEY",
  keys: {{ keys: [] }},
  statusList: statusListUri("", "https://consent.example.com") === null ? null : "",
  now: keepSeconds(""),
}};
export const failure: string | null = (await verify("", circumstances)).failure;
// @ts-expect-error - a verdict is no answer
const yes: boolean = verdict;
// @ts-expect-error - keys are needed
void verify("", {{ issuer: "", audience: "", statusList: null, now: 0 }});
// @ts-expect-error - a site is needed
void load({{ service: "https://consent.example.com" }});
// @ts-expect-error - a purpose is needed
createElement(react.Consent, {{}});
// @ts-expect-error - a purpose is a string
h(vue.Consent, {{ purpose: 1 }});
// @ts-expect-error - a purpose is needed
mount(svelte.Consent, {{ target: document.body }});
"""

ON_A_SERVER = f"""
import {{ load, push }} from "{NAME}";
import {{ createConsent }} from "{NAME}/core";
import {{ createEdge }} from "{NAME}/edge";
import "{NAME}/react";
import "{NAME}/vue";

push(["analytics", () => {{}}]);
const site = {{ service: "https://consent.example.com", site: "SITE_KEY" }};
const service = await load(site);
await service.ready;
const allowed = [service.allows("analytics"), await service.gate("analytics")];
const said = await createConsent(site).catch(({{ message }}) => message);
const {{ failure }} = await createEdge(site).decide("");
const bare = !("consentService" in globalThis);
console.log(JSON.stringify([allowed, said.includes("browser"), bare, failure]));
"""


def test_the_tarball_holds_what_its_entries_name_and_nothing_to_run(
    tarball: Path, project: Path
) -> None:
    installed = project / "node_modules" / NAME
    with tarfile.open(tarball) as packed:
        files = {name.removeprefix("package/") for name in packed.getnames()}
    manifest = json.loads((installed / "package.json").read_text("utf-8"))
    named = re.findall(r'"\./([^"]+\.\w+)"', json.dumps(list(manifest["exports"].values())))
    assert set(named) <= files
    outside = {name for name in files if not name.startswith("dist/")}
    types = {"configuration.d.ts", "consent-service.d.ts"}
    assert outside == {"LICENSE", "README.md", "package.json"} | types
    assert (installed / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "dependencies" not in manifest
    assert not {"preinstall", "install", "postinstall", "prepare"} & manifest["scripts"].keys()


def test_the_types_fit_their_use_and_refuse_a_wrong_one(project: Path, shop: Shop) -> None:
    del shop  # has put the examples into the project
    options = {
        "strict": True,
        "noEmit": True,
        "target": "es2022",
        "module": "esnext",
        "moduleResolution": "bundler",
        "jsx": "react-jsx",
        "types": [],
        "lib": ["es2022", "dom", "dom.iterable"],
        "skipLibCheck": True,
    }
    tsconfig = {"compilerOptions": options, "include": ["*.ts", "headless", "react", "svelte"]}
    (project / "tsconfig.json").write_text(json.dumps(tsconfig))
    (project / "types.ts").write_text(TYPES)
    assert npm("run", "check", "--silent", "--prefix", project) == ""


def test_a_server_may_import_and_call_it(project: Path) -> None:
    (project / "server.mjs").write_text(ON_A_SERVER)
    said = npm("run", "server", "--silent", "--prefix", project)
    assert json.loads(said) == [[False, False], True, True, "missing"]
