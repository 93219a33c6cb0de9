require ["fileinto"];
