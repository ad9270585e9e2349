%% @doc Names for processes, any term to one pid, usable as {via, erlmcp_registry, Name}. A name goes with its process.
-module(erlmcp_registry).
-behaviour(gen_server).

-export([start_link/0, register_name/2, unregister_name/1, whereis_name/1, send/2, names/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

register_name(Name, Pid) when is_pid(Pid) ->
    gen_server:call(?MODULE, {register, Name, Pid}).

unregister_name(Name) ->
    gen_server:call(?MODULE, {unregister, Name}).

whereis_name(Name) ->
    case ets:lookup(?MODULE, Name) of
        [{Name, Pid, _}] -> Pid;
        [] -> undefined
    end.

send(Name, Message) ->
    case whereis_name(Name) of
        undefined -> exit({badarg, {Name, Message}});
        Pid -> Pid ! Message, Pid
    end.

names() ->
    [Name || {Name, _, _} <- ets:tab2list(?MODULE)].

init([]) ->
    ets:new(?MODULE, [named_table, protected, {read_concurrency, true}]),
    {ok, #{}}.

handle_call({register, Name, Pid}, _From, Refs) ->
    case ets:member(?MODULE, Name) of
        true ->
            {reply, no, Refs};
        false ->
            Ref = erlang:monitor(process, Pid),
            ets:insert(?MODULE, {Name, Pid, Ref}),
            {reply, yes, Refs#{Ref => Name}}
    end;
handle_call({unregister, Name}, _From, Refs) ->
    case ets:take(?MODULE, Name) of
        [{Name, _, Ref}] ->
            erlang:demonitor(Ref, [flush]),
            {reply, ok, maps:remove(Ref, Refs)};
        [] ->
            {reply, ok, Refs}
    end.

handle_cast(_, Refs) ->
    {noreply, Refs}.

handle_info({'DOWN', Ref, process, _, _}, Refs) ->
    case maps:take(Ref, Refs) of
        {Name, Rest} -> ets:delete(?MODULE, Name), {noreply, Rest};
        error -> {noreply, Refs}
    end;
handle_info(_, Refs) ->
    {noreply, Refs}.
