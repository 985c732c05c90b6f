// The page of several runs, from its data.

comparePage(JSON.parse(at("data").textContent || ""));
