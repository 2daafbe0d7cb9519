# Needs Python 3.11 and this make alone; everything else comes from the package registries.
PORT ?= 8000

BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate
TRANSLATIONS := consent_service/console/translations
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard $(TRANSLATIONS)/*/LC_MESSAGES/messages.po))

# A build that fails, for instance over its size budget, must not pass for done the next time.
.DELETE_ON_ERROR:
.PHONY: help setup widget demo test pytest lint messages bench gallery wheel package lock clean

help:  ## list what can be made
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup:  ## install all that development needs into .venv
	@tools/install.sh dev
	@$(MAKE) --no-print-directory $(CATALOGUES)

# `npm ci` is slow, so it runs only when the lock has changed.
widget/node_modules/.package-lock.json: widget/package.json widget/package-lock.json
	tools/npm.sh ci --prefix widget
	@touch $@

consent_service/embed/static/widget.js: widget/node_modules/.package-lock.json \
		widget/build.mjs $(shell find widget/src widget/charts widget/verify -type f)
	tools/npm.sh run build --prefix widget
	@touch $@

# Made once there is a .venv to make them with.
%.mo: %.po
	@$(BIN)/pybabel --quiet compile --input-file $< --output-file $@

widget: consent_service/embed/static/widget.js  ## build the widget, the charts and the verifier into the package

demo: widget  ## serve the demo site: make demo PORT=8000
	@tools/install.sh run
	@$(MAKE) --no-print-directory $(CATALOGUES)
	$(BIN)/consent-service demo --port $(PORT)

lint: setup widget  ## check style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	tools/npm.sh run check --prefix widget

test: setup widget  ## lint, and run every test
	@tools/browser.sh chromium >/dev/null
	@tools/browser.sh headless >/dev/null
	@tools/browser.sh firefox >/dev/null
	@tools/browser.sh webkit >/dev/null
	# Side by side: types are checked by one process, and tests wait now and then.
	@$(MAKE) --no-print-directory -j2 lint pytest

pytest: setup widget
	# By turns, each process would start the services and browsers that only some files need.
	$(BIN)/pytest -n auto --dist worksteal

messages: setup  ## bring the console's new and changed texts into the translations
	@mkdir -p build
	$(BIN)/pybabel --quiet extract --mapping-file pyproject.toml --keyword lazy_gettext \
		--sort-by-file --add-location file --output-file build/messages.pot consent_service/console
	$(BIN)/pybabel --quiet update --input-file build/messages.pot --output-dir $(TRANSLATIONS) \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	@rm -r build

bench: setup widget  ## measure what the performance claims say
	$(BIN)/python -m benchmarks

gallery: setup widget  ## take the pictures in docs/gallery anew
	@tools/browser.sh chromium >/dev/null
	$(BIN)/python -m tests.gallery

wheel: setup widget  ## build the Python package into dist/
	rm -rf build dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build

package: widget/node_modules/.package-lock.json  ## build the npm package into dist/
	tools/npm.sh run build:package --prefix widget
	mkdir -p dist
	tools/npm.sh pack ./widget --pack-destination dist

lock: setup  ## write the lock files anew, with the newest versions that fit
	$(LOCK) setup.cfg --output-file requirements/run.txt
	$(LOCK) setup.cfg --extra dev --constraint requirements/run.txt --output-file requirements/dev.txt
	$(LOCK) --group pyproject.toml:build --output-file requirements/build.txt
	$(LOCK) --group pyproject.toml:node --output-file requirements/node.txt

clean:  ## remove all that was made, except var/ (the demo's database and keys)
	rm -rf .venv build dist *.egg-info widget/node_modules widget/dist widget/LICENSE \
		consent_service/embed/static $(CATALOGUES) \
		consent_service/static/docs consent_service/console/static/charts consent_service/receipts/static/verify \
		consent_service/regions/data/country.mmdb* \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
