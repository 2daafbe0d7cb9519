/**
 * What only some pages and some moments need: the preference centre, elements that are no scripts, leftovers of what was
 * refused. It is built into a file of its own, which is fetched the first time one of these comes up.
 */
import type { Choices, ConsentService } from "../../consent-service";
import type { Action, Surface } from "../api";
import { fetchConfig } from "../api";
import type { Configuration, Tag } from "../config";
import { useConfig } from "../config";
import type { ConsentRecord } from "../store";
import { addStyles } from "../styles";
import { whatChanged } from "./changes";
import { deleteRefused } from "./cookies";
import { turn } from "./embeds";
import { offerLanguages } from "./languages";
import { link } from "./link";
import { buildPreferences, tickedChoices } from "./preferences";
import css from "./styles.css";
import { uncover } from "./uncover";

/** What is used of the first file, which has a state of its own. */
export interface Core {
  config: Configuration;
  tag: Tag;
  adopt(record: ConsentRecord, token: string): void;
  decide(choices: Choices, action: Action, surface: Surface): Promise<unknown>;
  follow(): void;
  on: ConsentService["on"];
  /** Opens the preference centre, where there is one, from what has the focus unless told otherwise. */
  open: ((from: Element | null | undefined, choices: Choices) => void) | undefined;
  standing(): Choices | undefined;
}

export interface More {
  buildPreferences(root: ParentNode, choices?: Choices): HTMLDialogElement;
  deleteRefused: typeof deleteRefused;
  fetchConfig: typeof fetchConfig;
  link(userToken: string): Promise<boolean>;
  offerLanguages: typeof offerLanguages;
  tickedChoices: typeof tickedChoices;
  turn(element: HTMLElement, allowed: boolean): void;
  uncover: typeof uncover;
  whatChanged: typeof whatChanged;
}

let isStyled = false;

/** Takes the configuration now in use, which is this file's from then on. */
export default function more(core: Core): More {
  useConfig(core.config, core.tag);
  if (!isStyled) addStyles(css);
  isStyled = true;
  return {
    buildPreferences(root, choices) {
      const standing = core.standing();
      // In another language, what was ticked until now stays ticked.
      const ticked = root.querySelector("dialog") ? tickedChoices(root) : standing;
      return buildPreferences(choices ?? ticked, Object.values(standing ?? {}).includes(true));
    },
    deleteRefused,
    fetchConfig,
    link: (userToken) => link(userToken, core),
    offerLanguages,
    tickedChoices,
    turn: (element, allowed) => turn(element, allowed, core),
    uncover,
    whatChanged,
  };
}
