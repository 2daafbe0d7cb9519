CookieConsent.run({
  // A browser that is driven by a program counts as a bot, which would see no banner.
  hideFromBots: false,
  categories: {
    necessary: { enabled: true, readOnly: true },
    preferences: { autoClear: { cookies: [{ name: "mp_theme" }] } },
    analytics: { autoClear: { cookies: [{ name: "mp_analytics" }] } },
  },
  language: {
    default: "en",
    translations: {
      en: {
        consentModal: {
          title: "Your cookie choices",
          description:
            "We use cookies. Essential ones keep this site working and secure. You choose whether Momo Pulse and, where stated, their providers may also use cookies for: Preferences, Analytics. We remember your choice for 180 days. You can change it or withdraw consent at any time under “Cookie settings”.",
          acceptAllBtn: "Accept all",
          acceptNecessaryBtn: "Reject all",
          showPreferencesBtn: "Choose purposes",
          footer: '<a href="https://momopulse.com/privacy">Privacy policy</a>',
        },
        preferencesModal: {
          title: "Cookie settings",
          acceptAllBtn: "Accept all",
          acceptNecessaryBtn: "Reject all",
          savePreferencesBtn: "Save choices",
          closeIconLabel: "Close",
          sections: [
            {
              description:
                "Choose the purposes for which Momo Pulse may use cookies. We remember your choices for 180 days. You can change them or withdraw consent at any time, free of charge and without giving a reason.",
            },
            {
              title: "Essential cookies",
              description:
                "This site cannot work or stay secure without these cookies, so they need no consent and cannot be turned off here.",
              linkedCategory: "necessary",
            },
            {
              title: "Preferences",
              description:
                "Remembers how you like the site to look, such as its colour theme. Without it the site works the same, but forgets the theme when you leave.",
              linkedCategory: "preferences",
            },
            {
              title: "Analytics",
              description:
                "Counts which pages are opened, so that we can see what to improve. The counts stay on Momo Pulse’s own server.",
              linkedCategory: "analytics",
            },
          ],
        },
      },
    },
  },
});
