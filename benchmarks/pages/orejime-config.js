window.orejimeConfig = {
  privacyPolicyUrl: "https://momopulse.com/privacy",
  purposes: [
    {
      id: "essential",
      title: "Essential cookies",
      description:
        "This site cannot work or stay secure without these cookies, so they need no consent and cannot be turned off here.",
      isMandatory: true,
    },
    {
      id: "preferences",
      title: "Preferences",
      description:
        "Remembers how you like the site to look, such as its colour theme. Without it the site works the same, but forgets the theme when you leave.",
      cookies: ["mp_theme"],
    },
    {
      id: "analytics",
      title: "Analytics",
      description:
        "Counts which pages are opened, so that we can see what to improve. The counts stay on Momo Pulse’s own server.",
      cookies: ["mp_analytics"],
    },
  ],
  translations: {
    banner: {
      title: "Your cookie choices",
      description:
        "We use cookies. Essential ones keep this site working and secure. You choose whether Momo Pulse and, where stated, their providers may also use cookies for: {purposes}. We remember your choice for 180 days. You can change it or withdraw consent at any time under “Cookie settings”. {privacyPolicy}",
      privacyPolicyLabel: "Privacy policy",
      accept: "Accept all",
      decline: "Reject all",
      configure: "Choose purposes",
    },
    modal: {
      title: "Cookie settings",
      description:
        "Choose the purposes for which Momo Pulse may use cookies. We remember your choices for 180 days. You can change them or withdraw consent at any time, free of charge and without giving a reason. {privacyPolicy}",
      privacyPolicyLabel: "Privacy policy",
      acceptAll: "Accept all",
      declineAll: "Reject all",
      save: "Save choices",
    },
  },
};
